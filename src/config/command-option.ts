/** An option, and where it is taken. */
import type { CommandName, OptionDefinition } from "../sync/option.ts";

export interface CommandOption extends OptionDefinition {
  readonly commands: readonly CommandName[];
  /** The heading it has in the help. */
  readonly group?: string;
  readonly groupOf?: Readonly<Partial<Record<CommandName, string>>>;
  /** Where a command says it in another way. */
  readonly helpOf?: Readonly<Partial<Record<CommandName, string>>>;
}
