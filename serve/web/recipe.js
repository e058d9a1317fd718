// A reply's exact request to paste into a terminal. It holds numbers alone: token ids, settings, the seed.

import { hasKey, urlOf } from "./api.js";
import { byId, copyText, onClick, plural } from "./dom.js";
import { requestOf } from "./generation.js";

const LANGUAGES = { curl, python };
let body = null;

export function startRecipe() {
  for (const name of Object.keys(LANGUAGES)) onClick(`recipe-${name}`, () => choose(name));
  onClick("recipe-copy", (event) => copyText(byId("recipe").textContent, event.currentTarget));
}

export function showRecipe(reply) {
  body = requestOf(reply);
  const given = reply.forced ? `, of which the last ${reply.forced} begin the reply` : "";
  const key = hasKey() ? " Put your key into MICROGPT_KEY first." : "";
  byId("recipe-what").textContent =
    `${plural(body.input_ids.length, "token")} of prompt${given}; seed ${body.sampling_params.sampling_seed}. Running this gives the same reply.${key}`;
  choose("curl");
  byId("recipe-dialog").showModal();
}

function choose(language) {
  byId("recipe").textContent = LANGUAGES[language]();
  for (const name of Object.keys(LANGUAGES)) byId(`recipe-${name}`).setAttribute("aria-pressed", name === language);
}

function curl() {
  // One word of a POSIX shell, whatever is in it.
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const key = hasKey() ? ` \\\n  -H "authorization: Bearer $MICROGPT_KEY"` : "";
  return `curl -s ${quoted(urlOf("generate"))} \\\n  -H 'content-type: application/json'${key} \\\n  -d ${quoted(JSON.stringify(body))}`;
}

function python() {
  const key = hasKey() ? `, "authorization": "Bearer " + os.environ["MICROGPT_KEY"]` : "";
  const text = JSON.stringify(body).replaceAll("true", "True").replaceAll("false", "False");
  return `import json${key && "\nimport os"}
import urllib.request

body = ${text}
headers = {"content-type": "application/json"${key}}
request = urllib.request.Request(${JSON.stringify(urlOf("generate"))}, json.dumps(body).encode(), headers)
print(json.load(urllib.request.urlopen(request))["text"])
`;
}
