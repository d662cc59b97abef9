/** Text: what Markdown becomes. */
import { expect, test } from "vitest";
import { textPage } from "../../src/encode/pages/text-page.ts";
import { cpuTime } from "../support/cpu-time.ts";
import { HOSTILE, texts } from "./samples.ts";

const main = (html: string) => /<main id="app">(.*?)<\/main>/s.exec(html)?.[1] as string;
const one = (text: string) => main(textPage("t", [{ step: 1n, wallTime: 1, shape: [], strings: [text] }]));

test("newest step first", () => {
  const steps = [...main(textPage("t", texts())).matchAll(/Step <b>(\d+)<\/b>/g)].map(([, step]) => step);
  expect(steps).toEqual(["30", "20", "10", "0"]);
});

test("Markdown, with tables and their alignment but no style attribute", () => {
  expect(one("a **b**")).toContain("<p>a <strong>b</strong></p>");
  expect(one("|a|b|\n|-|-:|\n|1|2|")).toContain('<td>1</td>\n<td class="right">2</td>');
  expect(one("```js\nx < 1\n```")).toContain("<pre><code>x &#60; 1\n</code></pre>");
});

test("a link that leads nowhere is none", () => {
  const html = textPage("t", [{ step: 1n, wallTime: 1, shape: [], strings: ["[a]() ![b]()"] }]);
  expect(html).toContain("<a>a</a> <a>[image: b]</a>");
  expect(html).not.toContain("href");
});

test("links go elsewhere and take nothing along; pictures are links", () => {
  const link = (url: string) => `<a href="${url}" title="${url}" target="_blank" rel="noopener noreferrer nofollow">`;
  expect(one("[x](https://a.example/?b&c)")).toContain(`${link("https://a.example/?b&#38;c")}x</a>`);
  expect(one("![x](https://a.example/b.png)")).toContain(`${link("https://a.example/b.png")}[image: x]</a>`);
});

test("only the elements and attributes we know, whatever the text", () => {
  const html = main(
    textPage(
      "t",
      HOSTILE.map((text, i) => ({ step: BigInt(i), wallTime: i, shape: [1], strings: [text] })),
    ),
  );
  const known = "article|h[1-6]|b|time|div|table|tbody|thead|tr|td|th|p|a|em|strong|code|pre|ul|ol|li|blockquote|hr|br";
  const attributes = String.raw`( (class="(text|note|right|center)"|datetime="[\d:TZ-]+"|href="(https?:|mailto:)[^"<>]*"|title="[^"<>]*"|target="_blank"|rel="[a-z ]+"))*`;
  const rest = html.replace(new RegExp(`</?(${known})${attributes}>`, "g"), "");
  expect(rest).not.toMatch(/[<>]/);
});

test("tables of any rank", () => {
  const table = (shape: number[], strings: string[]) =>
    main(textPage("t", [{ step: 0n, wallTime: 0, shape, strings }]));
  expect(table([2], ["a", "b"]).match(/<tr>/g)).toHaveLength(2);
  const deep = table([2, 1, 2, 1], ["a", "b", "c", "d"]);
  expect([...deep.matchAll(/<caption>(.*?)<\/caption>/g)].map(([, text]) => text)).toEqual([
    "[0, 0, :, :]",
    "[1, 0, :, :]",
  ]);
  expect(table([0, 3], [])).toContain("An empty table.");
  expect(table([3, 0], [])).toContain("An empty table.");
});

test("what is too much is left out, and said", () => {
  const step = (i: number) => ({ step: BigInt(i), wallTime: i, shape: [], strings: [`<${"y".repeat(1_000_000)}`] });
  const html = textPage(
    "t",
    Array.from({ length: 20 }, (_, i) => step(i)),
  );
  expect(html.length).toBeLessThan(9_000_000);
  expect(html).toContain("13 older steps are not shown");
});

test.each([
  ["[".repeat(200_000)],
  ["![".repeat(100_000)],
  ["*a_ ".repeat(50_000)],
  ["`".repeat(100_000) + "a" + "`".repeat(99_998)],
  ["> ".repeat(100_000)],
  ["- ".repeat(100_000)],
  ["<".repeat(200_000)],
  ["[a](<".repeat(40_000)],
  ["|".repeat(60_000) + "\n" + "|-".repeat(60_000) + "\n" + "|\n".repeat(10_000)],
  ["[a]: b\n".repeat(28_000)],
  ["\\".repeat(200_000)],
  ["&".repeat(200_000)],
  ["* ".repeat(10) + "\n".repeat(190_000)],
])("no text takes long: %.12s", (text) => {
  const took = cpuTime();
  one(text);
  expect(took()).toBeLessThan(5000);
});
