/** The options of files. Nothing here loads anything: the help needs it at once. */
export const FILE_OPTIONS = {
  output: {
    form: "text",
    value: "<dir>",
    path: "file",
    help: "directory to write to, with one in it for each of several formats; - is standard output (jsonl only)",
  },
} as const;
