// A reply's exact request as something to paste into a terminal. It holds numbers alone: token ids, settings, the seed.

import { urlOf } from "./api.js";
import { byId, copyText } from "./dom.js";
import { requestOf } from "./generation.js";

let code = { curl: "", python: "" };

export function startRecipe() {
  byId("recipe-curl").addEventListener("click", () => choose("curl"));
  byId("recipe-python").addEventListener("click", () => choose("python"));
  byId("recipe-copy").addEventListener("click", (event) => copyText(byId("recipe").textContent, event.currentTarget));
}

export function showRecipe(reply) {
  const body = requestOf(reply);
  const needsKey = sessionStorage.getItem("microgpt.key") !== null;
  code = { curl: curl(body, needsKey), python: python(body, needsKey) };
  const { input_ids, sampling_params } = body;
  byId("recipe-what").textContent =
    `${input_ids.length} tokens of prompt${reply.forced ? `, ${reply.forced} of them of this reply, up to the one that was chosen by hand` : ""}; ` +
    `seed ${sampling_params.sampling_seed}. Sent again to the same model, it makes the same reply.` +
    (needsKey ? " Put your key into MICROGPT_KEY first." : "");
  choose("curl");
  byId("recipe-dialog").showModal();
}

function choose(language) {
  byId("recipe").textContent = code[language];
  byId("recipe-curl").setAttribute("aria-pressed", language === "curl");
  byId("recipe-python").setAttribute("aria-pressed", language === "python");
}

function curl(body, needsKey) {
  const key = needsKey ? ` \\\n  -H "authorization: Bearer $MICROGPT_KEY"` : "";
  return `curl -s ${quoted(urlOf("generate"))} \\\n  -H 'content-type: application/json'${key} \\\n  -d ${quoted(JSON.stringify(body))}`;
}

/** One word of a POSIX shell, whatever is in it. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function python(body, needsKey) {
  const literal = (value) => JSON.stringify(value); // numbers and plain strings: the same in both languages
  const headers = needsKey
    ? `{"content-type": "application/json", "authorization": "Bearer " + os.environ["MICROGPT_KEY"]}`
    : `{"content-type": "application/json"}`;
  return `import json${needsKey ? "\nimport os" : ""}
import urllib.request

body = {
    "input_ids": ${literal(body.input_ids).replaceAll(",", ", ")},
    "sampling_params": ${literal(body.sampling_params).replaceAll(",", ", ").replaceAll(":", ": ")},
}
request = urllib.request.Request(
    ${literal(urlOf("generate"))},
    json.dumps(body).encode(),
    ${headers},
)
print(json.load(urllib.request.urlopen(request))["text"])
`;
}
