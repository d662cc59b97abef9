import type { MlflowStore } from "./store.ts";
export const SqliteStore = {
  async open(_path: string): Promise<MlflowStore> {
    throw new Error("todo");
  },
};
