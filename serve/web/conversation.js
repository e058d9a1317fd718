// A conversation is a tree of turns in a list: a turn names its parent by index, always an earlier one, so that no
// file can make a loop. `active` is the child that is shown: a turn's own, and the conversation's for the first turn.
//
// node: {parent, role, text, active, at, reply?}
// reply: {prompt_ids, forced, output_ids, params, dropped, finish, first_ms, total_ms, model}
//   prompt_ids + output_ids[..forced] is what was sent; forced counts the tokens that were chosen by hand.
//   finish: "stop" (the model ended it), "length", "stopped" (by Stop), "lost", "failed", or null while it runs

export const ROOT = -1;
export const FORMAT = "microgpt-conversations";
const MAX_TITLE = 120;
const MAX_TEXT = 200_000;
const MAX_NODES = 5_000;
const MAX_IDS = 131_072;
const FINISHES = ["stop", "length", "stopped", "lost", "failed"];
const PARAMS = ["temperature", "top_k", "top_p", "min_p", "max_new_tokens", "sampling_seed"];

export function newConversation() {
  return { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, title: "", created: Date.now(), updated: Date.now(), active: ROOT, nodes: [] };
}

/** Adds a turn below `parent`, shows it, and returns its index. */
export function addNode(conversation, parent, role, text) {
  const index = conversation.nodes.push({ parent, role, text, active: ROOT, at: Date.now() }) - 1;
  show(conversation, index);
  conversation.updated = Date.now();
  if (!conversation.title) conversation.title = cut(text.trim().split("\n")[0], 60);
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

/** The indices of the turns from the first to `index`. */
export function pathTo(conversation, index) {
  const back = [];
  for (let i = index; i !== ROOT; i = conversation.nodes[i].parent) back.unshift(i);
  return back;
}

export const siblings = (conversation, index) =>
  conversation.nodes.flatMap((node, i) => (node.parent === conversation.nodes[index].parent ? [i] : []));

/** The messages of the turns `indices`, empty ones left out, as the API takes them: replies without outer white space. */
export function messages(conversation, indices) {
  return indices.filter((i) => said(conversation.nodes[i])).map((i) => {
    const { role, text } = conversation.nodes[i];
    return { role, content: role === "assistant" ? text.trim() : text };
  });
}

/** Whether a turn has something to say: the API takes no empty messages. */
export const said = (node) => node.text.trim() !== "";

export const toFile = (conversations) =>
  JSON.stringify({ format: FORMAT, version: 1, conversations: conversations.map(({ id, ...rest }) => rest) });

/** The conversations of a file, each with a fresh id. Raises Error saying what is wrong with the file. */
export function fromFile(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("It is not JSON.");
  }
  if (!isObject(value) || value.format !== FORMAT || value.version !== 1) throw new Error("It is not a file of conversations from this page.");
  if (!Array.isArray(value.conversations) || value.conversations.length > 1000) throw new Error("It must have a list of at most 1,000 conversations.");
  return value.conversations.map((found, i) => {
    try {
      return { ...checked(found), id: newConversation().id };
    } catch (error) {
      throw new Error(`Conversation ${i + 1}: ${error.message}`);
    }
  });
}

/** A conversation with the known fields of `value` and no others. Raises Error naming the first bad field. */
export function checked(value) {
  demand(isObject(value), "it must be an object");
  demand(typeof value.title === "string", "title must be text");
  demand(Array.isArray(value.nodes) && value.nodes.length <= MAX_NODES, `nodes must be a list of at most ${MAX_NODES}`);
  const nodes = value.nodes.map((node, i) => checkedNode(node, i));
  const children = (parent) => nodes.flatMap((node, i) => (node.parent === parent ? [i] : []));
  const activeOf = (wanted, parent) => (children(parent).includes(wanted) ? wanted : (children(parent).at(-1) ?? ROOT));
  value.nodes.forEach((node, i) => (nodes[i].active = activeOf(node.active, i)));
  return {
    title: cut(value.title, MAX_TITLE),
    created: time(value.created),
    updated: time(value.updated),
    active: activeOf(value.active, ROOT),
    nodes,
  };
}

function checkedNode(node, index) {
  const where = `nodes[${index}]`;
  demand(isObject(node), `${where} must be an object`);
  demand(Number.isInteger(node.parent) && node.parent >= ROOT && node.parent < index, `${where}.parent must be an earlier turn`);
  demand(node.role === "user" || node.role === "assistant", `${where}.role must be user or assistant`);
  demand(typeof node.text === "string" && node.text.length <= MAX_TEXT, `${where}.text must be text of at most ${MAX_TEXT} characters`);
  const kept = { parent: node.parent, role: node.role, text: node.text.toWellFormed?.() ?? node.text, active: ROOT, at: time(node.at) };
  if (node.reply != null) kept.reply = checkedReply(node.reply, `${where}.reply`);
  return kept;
}

function checkedReply(reply, where) {
  demand(isObject(reply), `${where} must be an object`);
  for (const name of ["prompt_ids", "output_ids"]) demand(isIds(reply[name]), `${where}.${name} must be a list of token ids`);
  demand(isObject(reply.params), `${where}.params must be an object`);
  const params = {};
  for (const name of PARAMS) {
    const value = reply.params[name];
    demand(Number.isFinite(value) || (name === "max_new_tokens" && value === null), `${where}.params.${name} must be a number`);
    params[name] = value;
  }
  demand(Number.isInteger(reply.forced) && reply.forced >= 0 && reply.forced <= reply.output_ids.length, `${where}.forced is out of range`);
  return {
    prompt_ids: [...reply.prompt_ids],
    output_ids: [...reply.output_ids],
    forced: reply.forced,
    params,
    dropped: positive(reply.dropped),
    first_ms: positive(reply.first_ms),
    total_ms: positive(reply.total_ms),
    // What was running when the page closed did not end by itself.
    finish: FINISHES.includes(reply.finish) ? reply.finish : "lost",
    model: typeof reply.model === "string" ? cut(reply.model, 300) : "",
  };
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isIds = (value) => Array.isArray(value) && value.length <= MAX_IDS && value.every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 31);
const positive = (value) => (Number.isFinite(value) && value >= 0 ? value : 0);
const time = (value) => (Number.isFinite(value) && Math.abs(value) < 8.64e15 ? value : Date.now());
export const cut = (text, length) => [...text.slice(0, 2 * length)].slice(0, length).join("");

function demand(holds, message) {
  if (!holds) throw new Error(`${message}.`);
}
