// Prints Tabler's style sheet less what nothing can match or use. Arguments: the files in which classes stand, and our
// style sheets, which use Tabler's variables. A rule stays when every name in its selector is a word of those files.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { PurgeCSS } from "purgecss";

const files = process.argv.slice(2);
const isStyleSheet = (file) => file.endsWith(".css");
const tabler = readFileSync(createRequire(import.meta.url).resolve("@tabler/core/dist/css/tabler.min.css"), "utf8");

// PurgeCSS keeps the variables that the sheet itself uses: a rule at its end uses ours, and is cut off afterwards.
const ours = files.filter(isStyleSheet).map((file) => readFileSync(file, "utf8")).join("");
const variables = new Set(ours.match(/--tblr-[\w-]+/g));
const END = "/*! end of Tabler */";
const use = `:root { all: ${[...variables].map((name) => `var(${name})`).join(" ")} }`;

const [trimmed] = await new PurgeCSS().purge({
  content: files.filter((file) => !isStyleSheet(file)),
  css: [{ raw: tabler + END + use }],
  defaultExtractor: (text) => text.match(/[A-Za-z_][\w-]*/g) ?? [],
  keyframes: true,
  variables: true,
  // Put together while a page is rendered: a status and its colour, a field and its width.
  safelist: [/^status-/, /^col-md-/],
});
const [kept] = trimmed.css.split(END);
process.stdout.write(kept.replace('@charset "UTF-8";', "").replace(/\/\*# sourceMappingURL=.*?\*\//, ""));
