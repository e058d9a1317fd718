// A conversation is a tree of turns in a list: a turn names its parent by index, always an earlier one, so that no
// file can make a loop. `active` is the child that is shown: a turn's own, and the conversation's for the first turn.
//
// node: {parent, role, text, active, at, reply?}
// reply: {prompt_ids, forced, output_ids, params, dropped, cut, finish, first_ms, total_ms, model}
//   prompt_ids + output_ids[..forced] is what was sent: `forced` tokens of the reply were given, not sampled.
//   dropped, cut: how many tokens of the conversation, and of its last message, did not fit
//   finish: "stop" (the model ended it), "length", "stopped" (by Stop), "lost", "failed", or null while it runs

export const ROOT = -1;
const FORMAT = "microgpt-conversations";
const MAX_CONVERSATIONS = 1000;
const MAX_NODES = 5000;
const MAX_TEXT = 200_000;
const MAX_IDS = 131_072;
export const MAX_TITLE = 120;
const FINISHES = ["stop", "length", "stopped", "lost", "failed"];
const PARAMS = ["temperature", "top_k", "top_p", "min_p", "max_new_tokens", "sampling_seed"];

export function newConversation() {
  const now = Date.now();
  // Not randomUUID, which pages on plain HTTP from another machine do not have.
  const id = `${now}-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  return { id, title: "", created: now, updated: now, active: ROOT, nodes: [] };
}

/** Adds a turn below `parent`, shows it, and returns its index. */
export function addNode(conversation, parent, role, text) {
  const at = (conversation.updated = Date.now());
  const index = conversation.nodes.push({ parent, role, text, active: ROOT, at }) - 1;
  show(conversation, index);
  conversation.title ||= cut(text.trim().split("\n")[0], 60);
  return index;
}

/** Makes turn `index` the one that its parent shows. */
export function show(conversation, index) {
  const { parent } = conversation.nodes[index];
  (parent === ROOT ? conversation : conversation.nodes[parent]).active = index;
}

/** The indices of the turns shown, first to last. */
export function path(conversation) {
  const shown = [];
  for (let i = conversation.active; i !== ROOT; i = conversation.nodes[i].active) shown.push(i);
  return shown;
}

/** How many turns are shown below turn `index`. */
export const depth = (conversation, index) => path({ ...conversation, active: conversation.nodes[index].active }).length;

/** The indices of the turns from the first to `index`. */
export function pathTo(conversation, index) {
  const back = [];
  for (let i = index; i !== ROOT; i = conversation.nodes[i].parent) back.unshift(i);
  return back;
}

const childrenOf = (nodes, parent) => nodes.flatMap((node, i) => (node.parent === parent ? [i] : []));
export const siblings = ({ nodes }, index) => childrenOf(nodes, nodes[index].parent);

/** Whether a turn has something to say: the API takes no empty messages. */
export const said = (node) => node.text.trim() !== "";

/** The messages of the turns `indices` that say something, as the API takes them: replies without outer white space. */
export function messages({ nodes }, indices) {
  return indices.map((i) => nodes[i]).filter(said).map(({ role, text }) => ({ role, content: role === "user" ? text : text.trim() }));
}

export const toFile = (conversations) =>
  JSON.stringify({ format: FORMAT, version: 1, conversations: conversations.map(({ id, ...rest }) => rest) });

/** The conversations of a file, each with a fresh id. Raises Error saying what is wrong with the file. */
export function fromFile(text) {
  let value = null;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("It is not JSON.");
  }
  demand(value?.format === FORMAT && value.version === 1, "The file's format");
  demand(isList(value.conversations, MAX_CONVERSATIONS), "The list of conversations");
  return value.conversations.map((found) => ({ ...checked(found), id: newConversation().id }));
}

/** A conversation with the known fields of `value` and no others. Raises Error naming the first bad field. */
export function checked(value) {
  demand(typeof value?.title === "string", "A title");
  demand(isList(value.nodes, MAX_NODES), "A list of nodes");
  const nodes = value.nodes.map(checkedNode);
  const lastChild = new Map(nodes.map(({ parent }, i) => [parent, i]));
  const activeOf = (wanted, parent) => (nodes[wanted]?.parent === parent ? Number(wanted) : (lastChild.get(parent) ?? ROOT));
  nodes.forEach((node, i) => (node.active = activeOf(node.active, i)));
  const { title, created, updated, active } = value;
  return { title: cut(title, MAX_TITLE), created: time(created), updated: time(updated), active: activeOf(active, ROOT), nodes };
}

function checkedNode(node, index) {
  const where = `nodes[${index}]`;
  const { parent, role, text, active, at, reply } = node ?? {};
  demand(isIndex(parent, ROOT, index - 1), `${where}.parent`);
  demand(role === "user" || role === "assistant", `${where}.role`);
  demand(typeof text === "string" && text.length <= MAX_TEXT, `${where}.text`);
  const kept = { parent, role, text: text.toWellFormed(), active, at: time(at) };
  return reply == null ? kept : { ...kept, reply: checkedReply(reply, `${where}.reply`) };
}

function checkedReply(reply, where) {
  const { prompt_ids, output_ids, forced, params, dropped, cut, first_ms, total_ms, finish, model } = reply;
  demand(isIds(prompt_ids), `${where}.prompt_ids`);
  demand(isIds(output_ids), `${where}.output_ids`);
  demand(isIndex(forced, 0, output_ids.length), `${where}.forced`);
  demand(PARAMS.every((name) => Number.isFinite(params?.[name])), `${where}.params`);
  return {
    prompt_ids,
    output_ids,
    forced,
    params: Object.fromEntries(PARAMS.map((name) => [name, params[name]])),
    dropped: positive(dropped),
    cut: positive(cut),
    first_ms: positive(first_ms),
    total_ms: positive(total_ms),
    finish: FINISHES.includes(finish) ? finish : "lost", // it was running when the page was closed
    model: typeof model === "string" ? model.slice(0, 300) : "",
  };
}

const isIndex = (value, least, most) => Number.isInteger(value) && value >= least && value <= most;
const isList = (value, most) => Array.isArray(value) && value.length <= most;
const isIds = (value) => isList(value, MAX_IDS) && value.every((id) => isIndex(id, 0, 2 ** 31 - 1));
const positive = (value) => (Number.isFinite(value) && value > 0 ? value : 0);
const time = (value) => (Number.isFinite(value) && Math.abs(value) < 8.64e15 ? value : Date.now());

/** The first `length` characters, none cut in two. */
export const cut = (text, length) => [...text.slice(0, 2 * length).toWellFormed()].slice(0, length).join("");

function demand(holds, what) {
  if (!holds) throw new Error(`${what} is missing, wrong, or too long.`);
}
