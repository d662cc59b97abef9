import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type HttpTrackingUri, resolveTrackingUri } from "../../src/backends/mlflow/tracking-uri.ts";
import { TraceletError } from "../../src/errors.ts";

let cwd = "";
beforeEach(() => {
  cwd = realpathSync(mkdtempSync(join(tmpdir(), "tracelet-uri-")));
});
afterEach(() => rmSync(cwd, { recursive: true }));

const resolve = (uri: string | undefined, env: Record<string, string> = {}) => resolveTrackingUri(uri, env, cwd);

function refused(uri: string | undefined, env: Record<string, string> = {}): TraceletError {
  try {
    resolve(uri, env);
  } catch (error) {
    if (error instanceof TraceletError) return error;
    throw error;
  }
  throw new Error(`${uri} is taken`);
}

describe("which URI", () => {
  test("the option, then the environment, then MLflow's own default", () => {
    const env = { MLFLOW_TRACKING_URI: "http://env:5000" };
    expect(resolve("http://option:5000", env).redacted).toBe("http://option:5000");
    expect(resolve(undefined, env).redacted).toBe("http://env:5000");
    expect(resolve(undefined, { MLFLOW_TRACKING_URI: "" })).toMatchObject({
      scheme: "sqlite",
      path: join(cwd, "mlflow.db"),
    });
  });

  test("an empty option is a mistake, such as an unset variable of a shell", () => {
    expect(refused("", { MLFLOW_TRACKING_URI: "http://env:5000" })).toMatchObject({ code: "usage" });
  });

  test("without any, a file store that MLflow would go on with is not passed over", () => {
    mkdirSync(join(cwd, "mlruns", "0"), { recursive: true });
    expect(resolve(undefined)).toMatchObject({ scheme: "sqlite" });
    writeFileSync(join(cwd, "mlruns", "0", "meta.yaml"), "");
    const error = refused(undefined);
    expect(error.code).toBe("unsupported");
    expect(error.hint).toContain("mlflow migrate-filestore --source ./mlruns");
  });
});

describe("a server", () => {
  test.each([
    ["http://host:5000", "http://host:5000"],
    ["http://host:5000/", "http://host:5000"],
    [" https://HOST:443/team/mlflow// ", "https://host/team/mlflow"],
    ["http://[::1]:5000", "http://[::1]:5000"],
  ])("%s", (uri, base) => {
    expect(resolve(uri)).toMatchObject({ scheme: "http", redacted: base, destinationKey: base, login: undefined });
  });

  test("a login is taken out of the address and never shown", () => {
    const uri = resolve("https://me%40x:s%3Acret@host/p") as HttpTrackingUri;
    expect([uri.login?.username.reveal(), uri.login?.password.reveal()]).toEqual(["me@x", "s:cret"]);
    expect(uri.url.href).toBe("https://host/p");
    expect(inspect(uri, { depth: 9, showHidden: true }) + JSON.stringify(uri)).not.toMatch(/s:cret|s%3Acret|me@|me%40/);
    expect(uri.destinationKey).toBe(resolve("https://host/p/").destinationKey);
  });

  test("each workspace is a destination of its own", () => {
    const key = (workspace: string) => resolve("http://h", { MLFLOW_WORKSPACE: workspace }).destinationKey;
    expect(key("a")).not.toBe(key("b"));
    expect(key("default")).toBe(key(""));
  });

  test.each(["http://host/#/experiments/1", "http://host/?token=x"])("%s has too much", (uri) => {
    expect(refused(uri)).toMatchObject({ code: "usage" });
  });

  test.each(["localhost:5000", "127.0.0.1:5000", "mlflow.example.com:80/x"])("%s lacks its scheme", (uri) => {
    expect(refused(uri).message).toContain("lacks http://");
  });
});

describe("a database in a file", () => {
  test.each([
    ["sqlite:///a/b.db", "a/b.db"],
    ["sqlite+pysqlite:///./b.db", "b.db"],
    ["sqlite:///a%20b%25.db", "a b%.db"],
    ["sqlite:///a.db?timeout=5&check_same_thread=false", "a.db"],
    ["sqlite:///50%.db", "50%.db"],
  ])("%s is relative", (uri, path) => {
    expect(resolve(uri)).toMatchObject({ scheme: "sqlite", path: join(cwd, path) });
  });

  test("four slashes are absolute", () => {
    expect(resolve("sqlite:////tmp/x.db")).toMatchObject({ path: "/tmp/x.db", redacted: "sqlite:////tmp/x.db" });
  });

  test("has one key, however it is spelled, before and after it exists", () => {
    mkdirSync(join(cwd, "real"));
    symlinkSync(join(cwd, "real"), join(cwd, "link"));
    const before = resolve("sqlite:///link/m.db").destinationKey;
    writeFileSync(join(cwd, "real", "m.db"), "");
    expect(resolve("sqlite:///real/../link/m.db").destinationKey).toBe(before);
    expect(resolve(`sqlite:///${cwd}/real/m.db`).destinationKey).toBe(before);
  });

  test.each([
    ["sqlite://", "unsupported"],
    ["sqlite:///", "unsupported"],
    ["sqlite:///:memory:", "unsupported"],
    ["sqlite:///file:a.db?uri=true", "unsupported"],
    ["sqlite:///a.db?mode=ro", "unsupported"],
    ["sqlite+pysqlcipher:///a.db", "unsupported"],
    ["sqlite://a.db", "usage"],
    ["sqlite:a.db", "usage"],
    ["sqlite:///a%00.db", "usage"],
  ])("%s is refused", (uri, code) => {
    expect(refused(uri)).toMatchObject({ code, hint: expect.stringContaining("sqlite:////absolute") });
  });
});

describe("what tracelet cannot write to says what works instead", () => {
  test.each(["./mlruns", "/data/mlruns", "file:///data/mlruns", "C:\\mlruns"])("file store %s", (uri) => {
    const error = refused(uri);
    expect(error.code).toBe("unsupported");
    expect(error.hint).toMatch(/migrate-filestore --source (\.|\/data|C:).*http/);
    expect(error.hint).not.toContain("file:");
  });

  test.each(["postgresql://u:pw@h/db", "mysql+pymysql://u:pw@h/db", "mssql+pyodbc://u:pw@h/db?x=1"])("%s", (uri) => {
    expect(refused(uri)).toMatchObject({ code: "unsupported", hint: expect.stringContaining("mlflow server") });
  });

  test.each(["databricks", "databricks://profile", "uc:http://localhost:8080", "databricks-uc"])("%s", (uri) => {
    expect(refused(uri)).toMatchObject({ code: "unsupported", hint: expect.stringContaining("http://") });
  });

  test("any other scheme is a mistake", () => {
    expect(refused("htp://host")).toMatchObject({ code: "usage" });
  });
});

test("no refusal shows a login, however broken the URI is", () => {
  for (const uri of [
    "postgresql://user:CANARY@h/db",
    "postgresql://user:CAN/ARY#@h/db",
    "http://user:CANARY@host:port",
    "http://user:CANARY@host/?token=CANARY",
    "http://user:CANARY@host/#CANARY",
    "sqlite://user:CANARY@h/x",
    "htp://CANARY@host",
    "user:CANARY@host:5000",
    "databricks://CANARY@x",
    "./runs?CANARY",
  ]) {
    const error = refused(uri);
    const shown = inspect(error, { depth: 9, showHidden: true }) + error.stack + error.hint;
    expect(shown, uri).not.toMatch(/CANARY|CAN\/|ARY/);
  }
});
