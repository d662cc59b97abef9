/**
 * The shapes of options that a configuration file or a program gives as more than a text, number or list: one entry an
 * option. Its TypeScript type, its check and its part of the JSON schema derive from it.
 */
import type { GenericSchema } from "valibot";

/**
 * An option of the form `structure` has its shape here. One of another form may have one as well, for a richer form in files;
 * what the shape gives out is then what the flag would have given.
 */
export const SHAPES: Readonly<Record<string, GenericSchema>> = {};
