// Shows capital and follows it live; docs/live-capital.md explains how.
//
// What the page knows is what the server has told it. What it has written and not been answered about lies over that,
// and is taken off again with the answer: by then the page knows better, or the write was refused.
"use strict";

const PING_MILLISECONDS = 5_000;
const PAUSE_MILLISECONDS_MAX = 4_000;
const ENTRIES_SHOWN = 12;

const SOURCE = "id externalKey name annualRate availableCents isActive version";
const ENTRY =
  "sequence action effectiveOn name annualRate availableCents previousRate previousAmountCents actor { name }";
const LOAD_QUERY = `query Load {
  viewer { organization { name baseCurrency } }
  capitalState { source { ${SOURCE} } }
  capitalHistory(first: ${ENTRIES_SHOWN}) { nodes { ${ENTRY} } }
}`;
const COST_QUERY = `query Cost {
  wacc { rate totalCents sourceCount }
  waccTrend(period: MONTH, count: 12) { label rate }
}`;
const FOLLOW_SUBSCRIPTION = `subscription Follow($after: String) {
  capitalChanged(after: $after) { cursor entry { ${ENTRY} } source { ${SOURCE} } }
}`;

function mutation(name) {
  const type = `${name[0].toUpperCase()}${name.slice(1)}Input!`;
  const fields = `source { ${SOURCE} } userErrors { code message field }`;
  return `mutation Write($input: ${type}) { ${name}(input: $input) { ${fields} } }`;
}

const element = (id) => document.getElementById(id);
const rows = new Map(); // The rows of the table by the ids of their sources.
const sources = new Map(); // What is known of each source, by id.
const entries = new Map(); // The latest entries of the history, by sequence.
const pending = new Map(); // The writes without an answer, by idempotency key.
let cursor = null; // The last event that was dealt with.
let loads = 0;
let isLoaded = false;
let token = null;
let trend = [];

// -- Exact numbers: amounts and rates are texts on the wire, because a float would round them ----------------------

function read(text, places) {
  const match = /^(-?)(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?$/.exec(text.trim());
  if (match === null || (match[3] ?? "").length > places) {
    return null;
  }
  return BigInt(match[1] + match[2].replaceAll(",", "") + (match[3] ?? "").padEnd(places, "0"));
}

function show(units, places, separator = ",") {
  const digits = String(units < 0n ? -units : units).padStart(places + 1, "0");
  const whole = digits.slice(0, -places).replace(/\B(?=(\d{3})+$)/g, separator);
  return `${units < 0n ? "-" : ""}${whole}.${digits.slice(-places)}`;
}

const showAmount = (cents) => show(BigInt(cents), 2);
// A rate has six decimals, so that per cent have four; at least two of them are shown.
const showRate = (rate) => `${show(read(rate, 6), 4).replace(/0{1,2}$/, "")} %`;
const readAmount = (text) => read(text, 2)?.toString() ?? null;
function readRate(text) {
  const millionths = read(text.replace(/\s*%\s*$/, ""), 4);
  return millionths === null ? null : show(millionths, 6, "");
}

// -- Talking to the server -----------------------------------------------------------------------------------------

class Refusal extends Error {
  constructor(problems) {
    super(problems[0].message);
    this.problems = problems;
  }
}

class Failure extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
    this.mayPass = ["UNREACHABLE", "UNAVAILABLE", "TIMEOUT", "RATE_LIMITED", "UNAUTHENTICATED"].includes(code);
  }
}

function address(path) {
  return new URL(path, document.baseURI);
}

function pause(failures) {
  const longest = Math.min(PAUSE_MILLISECONDS_MAX, 250 * 2 ** failures);
  return new Promise((resolve) => setTimeout(resolve, longest * (0.5 + Math.random() / 2)));
}

async function request(query, variables) {
  let answer;
  try {
    const response = await fetch(address("graphql"), {
      method: "POST",
      headers: {
        Accept: "application/graphql-response+json, application/json;q=0.9",
        Authorization: `Bearer ${token}`,
        "Content-Type": "application/json",
      },
      body: JSON.stringify({ query, variables }),
    });
    answer = await response.json();
  } catch {
    throw new Failure("The server cannot be reached.", "UNREACHABLE");
  }
  if (answer.errors) {
    throw new Failure(answer.errors[0].message, answer.errors[0].extensions?.code);
  }
  return answer.data;
}

// Asks again as long as that may help. A write carries its idempotency key, so that it is done once however often it
// is sent.
async function persist(ask) {
  for (let failures = 0; ; failures++) {
    try {
      return await ask();
    } catch (failure) {
      if (!failure.mayPass) {
        throw failure;
      }
      await pause(failures);
      if (failure.code === "UNAUTHENTICATED") {
        await signIn();
      }
    }
  }
}

let signingIn = null;
function signIn() {
  signingIn ??= findToken().finally(() => {
    signingIn = null;
  });
  return signingIn;
}

// The demo hands out a token; elsewhere somebody has to have one.
async function findToken() {
  const session = await persist(async () => {
    const response = await fetch(address("live/session.json")).catch(() => null);
    if (!response?.ok) {
      throw new Failure("The server cannot be reached.", "UNREACHABLE");
    }
    return response.json();
  });
  token = session.token ?? (await askForToken());
}

function askForToken() {
  const form = element("token");
  form.hidden = false;
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      form.hidden = true;
      resolve(form.elements.token.value.trim());
      form.reset();
    };
  });
}

// -- Following -----------------------------------------------------------------------------------------------------

async function follow() {
  for (let failures = 0; ; failures++) {
    const code = await followOnce(() => {
      failures = 0;
    });
    showConnection("reconnecting", "Reconnecting…");
    await pause(failures);
    if (code === 4403) {
      await signIn();
    }
  }
}

// Follows over one connection; resolves to its close code once that is lost.
function followOnce(onSuccess) {
  return new Promise((resolve) => {
    const url = address("graphql");
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, "graphql-transport-ws");
    const send = (message) => socket.send(JSON.stringify(message));
    let isWaiting = true;
    // A connection that is cut without a word is found out by a ping that nothing answers.
    const heart = setInterval(() => {
      if (isWaiting) {
        end();
      } else {
        isWaiting = true;
        send({ type: "ping" });
      }
    }, PING_MILLISECONDS);

    function end(code) {
      clearInterval(heart);
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      resolve(code);
    }

    function take({ type, payload }) {
      if (type === "connection_ack") {
        send({ type: "subscribe", id: "capital", payload: { query: FOLLOW_SUBSCRIPTION, variables: { after: cursor } } });
        showConnection("live", "Live");
        if (cursor === null) {
          load();
        }
      } else if (type === "next" && payload.data) {
        onSuccess();
        takeChange(payload.data.capitalChanged);
      } else if (type === "ping") {
        send({ type: "pong" });
      } else if (type === "pong") {
        onSuccess();
      } else {
        // The subscription has ended. Where its cursor is of no use any more, all is loaded anew.
        if (type === "error" && payload.some((error) => error.extensions?.code?.startsWith("CURSOR_"))) {
          cursor = null;
        }
        end();
      }
    }

    socket.onopen = () => send({ type: "connection_init", payload: { authorization: `Bearer ${token}` } });
    socket.onclose = ({ code }) => end(code);
    socket.onmessage = ({ data }) => {
      isWaiting = false;
      take(JSON.parse(data));
    };
  });
}

// Is called once changes are followed: what comes meanwhile is put together with what is loaded, by version.
async function load() {
  const mine = ++loads;
  isLoaded = false;
  sources.clear();
  entries.clear();
  let data;
  try {
    data = await persist(() => request(LOAD_QUERY));
  } catch (failure) {
    showConnection("failed", failure.message);
    return;
  }
  if (mine !== loads) {
    // The connection was lost meanwhile, and what was loaded may be too old for the next one.
    return;
  }
  data.capitalState.forEach(({ source }) => learn(source));
  data.capitalHistory.nodes.forEach((entry) => entries.set(BigInt(entry.sequence), entry));
  const { name, baseCurrency } = data.viewer.organization;
  element("organization").textContent = name;
  document.querySelectorAll("[data-currency]").forEach((place) => place.replaceChildren(baseCurrency));
  isLoaded = true;
  draw();
  document.querySelector("main").hidden = false;
  refreshCost();
}

// Versions go up with each change: whatever order answers and events come in, the newest stays.
function learn(source) {
  const known = sources.get(source.id);
  if (known === undefined || BigInt(source.version) >= BigInt(known.version)) {
    sources.set(source.id, source);
  }
}

function takeChange({ cursor: place, entry, source }) {
  const sequence = BigInt(entry.sequence);
  const isNew = !entries.has(sequence);
  const isGap = isLoaded && sequence > lastSequence() + 1n;
  cursor = place;
  learn(source);
  entries.set(sequence, entry);
  if (isGap) {
    // The history has no gaps: something happened between loading and following.
    load();
    return;
  }
  draw();
  if (isLoaded && isNew) {
    flash(source.id);
    element("announcement").textContent = describe(entry);
    refreshCost();
  }
}

function lastSequence() {
  return [...entries.keys()].reduce((last, sequence) => (sequence > last ? sequence : last), 0n);
}

// One question at a time, and one more for all that has come meanwhile.
let isCostStale = false;
let isAskingCost = false;
async function refreshCost() {
  isCostStale = true;
  if (isAskingCost) {
    return;
  }
  isAskingCost = true;
  while (isCostStale) {
    isCostStale = false;
    try {
      drawCost(await persist(() => request(COST_QUERY)));
    } catch (failure) {
      drawNoCost(failure.message);
    }
  }
  isAskingCost = false;
}

// -- Writing -------------------------------------------------------------------------------------------------------

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Writes, and shows the write as pending until it is answered. Throws a Refusal or a Failure, with the write taken back.
async function write(name, values) {
  const idempotencyKey = newKey();
  const input = { ...values, idempotencyKey };
  if (name === "addCapitalSource") {
    // By this the pending source is known again when it arrives from elsewhere.
    input.externalKey = idempotencyKey;
  }
  pending.set(idempotencyKey, { name, input });
  draw();
  try {
    const { source, userErrors } = await persist(async () => {
      const payload = (await request(mutation(name), { input }))[name];
      if (payload.userErrors.some((problem) => problem.code === "IN_PROGRESS")) {
        throw new Failure(payload.userErrors[0].message, "UNAVAILABLE");
      }
      return payload;
    });
    if (userErrors.length > 0) {
      throw new Refusal(userErrors);
    }
    learn(source);
  } finally {
    pending.delete(idempotencyKey);
    draw();
  }
}

// The sources by id as they are shown: those that are known, and over them what is pending.
function withPending() {
  const active = [...sources.values()].filter((source) => source.isActive);
  const shown = new Map(active.map((source) => [source.id, source]));
  const keys = new Set([...sources.values()].map((source) => source.externalKey));
  for (const { name, input } of pending.values()) {
    const id = input.sourceId ?? input.externalKey;
    if (name === "addCapitalSource" ? !keys.has(id) : shown.has(id)) {
      const isLeaving = name === "removeCapitalSource";
      shown.set(id, { ...shown.get(id), ...input, id, isLeaving, isPending: true });
    }
  }
  return shown;
}

// -- Drawing -------------------------------------------------------------------------------------------------------

function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function showConnection(state, text) {
  element("connection").dataset.state = state;
  element("connection").textContent = text;
}

function draw() {
  if (!isLoaded) {
    return;
  }
  const shown = withPending();
  drawSources(shown);
  drawChoices();
  const latest = [...entries].sort(([one], [other]) => (one < other ? 1 : -1)).slice(0, ENTRIES_SHOWN);
  element("history").replaceChildren(...latest.map(([, entry]) => drawEntry(entry)));
  // A page that is open for weeks need not remember what it no longer shows.
  entries.clear();
  latest.forEach(([sequence, entry]) => entries.set(sequence, entry));
}

// Rows stay where they are, so that the focus does.
function drawSources(shown) {
  for (const [id, row] of rows) {
    if (!shown.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  for (const source of shown.values()) {
    if (!rows.has(source.id)) {
      rows.set(source.id, makeRow(source.id));
      element("sources").append(rows.get(source.id));
    }
    const row = rows.get(source.id);
    const [name, rate, amount] = row.children;
    name.firstChild.textContent = source.name;
    name.firstChild.disabled = !sources.has(source.id);
    rate.textContent = showRate(source.annualRate);
    amount.textContent = showAmount(source.availableCents);
    row.classList.toggle("pending", source.isPending ?? false);
    row.classList.toggle("leaving", source.isLeaving ?? false);
  }
  element("no-sources").hidden = shown.size > 0;
}

function makeRow(id) {
  const button = make("button", { type: "button", title: "Change it", onclick: () => chooseSource(id) });
  return make("tr", {}, make("th", { scope: "row" }, button), make("td"), make("td"));
}

function flash(id) {
  const row = rows.get(id);
  row?.classList.remove("changed");
  // Without a new layout the animation would not start again.
  void row?.offsetWidth;
  row?.classList.add("changed");
}

function describe(entry) {
  const { action, name, annualRate, availableCents, previousRate, previousAmountCents } = entry;
  const rate = annualRate === null ? "" : showRate(annualRate);
  const amount = availableCents === null ? "" : showAmount(availableCents);
  switch (action) {
    case "ADDED":
      return `${name}: added with ${amount} at ${rate}`;
    case "AMOUNT_CHANGED":
      return `${name}: amount ${previousAmountCents === null ? "" : `${showAmount(previousAmountCents)} → `}${amount}`;
    case "RATE_CHANGED":
      return `${name}: rate ${previousRate === null ? "" : `${showRate(previousRate)} → `}${rate}`;
    default:
      return `${name}: removed`;
  }
}

function drawEntry(entry) {
  const day = make("time", { dateTime: entry.effectiveOn, textContent: entry.effectiveOn });
  const origin = make("small", {}, "from ", day, `, recorded by ${entry.actor?.name || "the system"}, no. ${entry.sequence}`);
  const item = make("li", {}, describe(entry), origin);
  item.dataset.sequence = entry.sequence;
  return item;
}

function drawCost({ wacc, waccTrend }) {
  element("wacc").textContent = wacc.rate === null ? "no source" : showRate(wacc.rate);
  element("total").textContent = showAmount(wacc.totalCents);
  element("count").textContent = wacc.sourceCount;
  element("cost-problem").textContent = "";
  trend = waccTrend;
  drawTrend();
  const cells = trend.map(({ label, rate }) => [label, rate === null ? "no source" : showRate(rate)]);
  element("trend-rows").replaceChildren(
    ...cells.map(([label, rate]) =>
      make("tr", {}, make("th", { scope: "row", textContent: label }), make("td", { textContent: rate })),
    ),
  );
}

function drawNoCost(message) {
  for (const id of ["wacc", "total", "count"]) {
    element(id).textContent = "unknown";
  }
  element("cost-problem").textContent = message;
}

function makeSvg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...children);
  return made;
}

// Places on the screen are the one thing here that may be a float.
function drawTrend() {
  const { clientWidth: width, clientHeight: height } = element("trend");
  const known = trend.filter((point) => point.rate !== null).map((point) => Number(point.rate));
  if (known.length === 0 || width === 0) {
    element("trend").replaceChildren(known.length === 0 ? "There was no source in these months." : "");
    return;
  }
  const [left, right, top, bottom] = [52, width - 24, 24, height - 24];
  const margin = Math.max((Math.max(...known) - Math.min(...known)) * 0.15, 0.001);
  const [least, most] = [Math.max(0, Math.min(...known) - margin), Math.max(...known) + margin];
  const x = (index) => left + ((right - left) * index) / (trend.length - 1);
  const y = (rate) => bottom - ((bottom - top) * (rate - least)) / (most - least);
  const svg = makeSvg("svg", { role: "img", width, height, "aria-label": summarise() });
  for (let line = 0; line < 4; line++) {
    const rate = least + ((most - least) * line) / 3;
    svg.append(
      makeSvg("line", { class: "grid", x1: left, x2: right, y1: y(rate), y2: y(rate) }),
      makeSvg("text", { x: left - 8, y: y(rate) + 4, "text-anchor": "end" }, `${(rate * 100).toFixed(1)} %`),
    );
  }
  const step = Math.ceil((trend.length * 44) / (right - left));
  let path = "";
  const dots = [];
  trend.forEach(({ label, rate }, index) => {
    // Counted from the last one, which is always named.
    if ((trend.length - 1 - index) % step === 0) {
      svg.append(makeSvg("text", { x: x(index), y: height - 4, "text-anchor": "middle" }, monthName(label)));
    }
    if (rate !== null) {
      const isFirst = index === 0 || trend[index - 1].rate === null;
      path += `${isFirst ? "M" : "L"}${x(index)} ${y(Number(rate))}`;
      const title = makeSvg("title", {}, `${label}: ${showRate(rate)}`);
      const isLast = index === trend.length - 1;
      dots.push(makeSvg("circle", { class: isLast ? "last" : "", cx: x(index), cy: y(Number(rate)), r: 4 }, title));
      if (isLast) {
        const place = { class: "value", x: right + 20, y: y(Number(rate)) - 10, "text-anchor": "end" };
        dots.push(makeSvg("text", place, showRate(rate)));
      }
    }
  });
  svg.append(makeSvg("path", { class: "curve", d: path }), ...dots);
  element("trend").replaceChildren(svg);
}

function monthName(label) {
  return new Date(`${label}-01T00:00:00Z`).toLocaleDateString("en", { month: "short", timeZone: "UTC" });
}

function summarise() {
  const known = trend.filter((point) => point.rate !== null);
  const [first, last] = [known[0], known.at(-1)];
  return `Average cost by month: ${showRate(first.rate)} in ${first.label}, ${showRate(last.rate)} in ${last.label}`;
}

// -- Forms ---------------------------------------------------------------------------------------------------------

function today() {
  return new Date().toISOString().slice(0, 10);
}

function drawChoices() {
  const select = element("change").elements.sourceId;
  const choices = [...sources.values()].filter((source) => source.isActive);
  const isSame = choices.every(({ id, name }, at) => select.options[at]?.value === id && select.options[at].text === name);
  if (!isSame || choices.length !== select.options.length) {
    const chosen = select.value;
    select.replaceChildren(...choices.map(({ id, name }) => new Option(name, id, false, id === chosen)));
  }
}

function chooseSource(id) {
  const fields = element("change").elements;
  fields.sourceId.value = id;
  const field = { updateCapitalAmount: fields.availableCents, updateCapitalRate: fields.annualRate }[fields.what.value];
  (field ?? fields.effectiveOn).focus();
}

function showFields() {
  const { what, availableCents, annualRate } = element("change").elements;
  availableCents.parentElement.hidden = what.value !== "updateCapitalAmount";
  annualRate.parentElement.hidden = what.value !== "updateCapitalRate";
  showProblems(element("change"), []);
}

// Each problem beside its field; what is about none of them below the form.
function showProblems(form, problems) {
  form.querySelectorAll(".field-problem").forEach((place) => place.remove());
  form.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
  const general = form.querySelector(".problem:not(.field-problem)");
  general.textContent = "";
  for (const { field: path, message } of problems) {
    const field = form.elements[path?.at(-1)];
    if (!field?.parentElement || field.parentElement.hidden) {
      general.append(`${message} `);
      continue;
    }
    const place = make("p", { className: "problem field-problem", id: `${form.id}-${field.name}`, textContent: message });
    place.role = "alert";
    field.parentElement.after(place);
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", place.id);
  }
}

// Only what is no number or no day at all is refused here: the rules are the server's.
function valuesOf(form, names) {
  const readers = { availableCents: readAmount, annualRate: readRate, effectiveOn: (text) => text || null };
  const examples = { availableCents: "1,250,000.00", annualRate: "5.25", effectiveOn: today() };
  const values = Object.fromEntries(
    names.map((name) => [name, (readers[name] ?? String)(form.elements[name].value)]),
  );
  const unread = names.filter((name) => values[name] === null);
  if (unread.length > 0) {
    throw new Refusal(unread.map((name) => ({ field: [name], message: `For example ${examples[name]}.` })));
  }
  return values;
}

async function submit(form, name, names) {
  showProblems(form, []);
  const written = ["name", "availableCents", "annualRate"].map((field) => form.elements[field]).filter(Boolean);
  const sent = written.map((field) => field.value);
  try {
    await write(name, valuesOf(form, names));
    // Somebody may be typing the next one already.
    if (written.every((field, at) => field.value === sent[at])) {
      written.forEach((field) => (field.value = ""));
    }
  } catch (refused) {
    showProblems(form, refused.problems ?? [{ message: refused.message }]);
  }
}

element("add").onsubmit = (event) => {
  event.preventDefault();
  submit(event.target, "addCapitalSource", ["name", "availableCents", "annualRate", "effectiveOn"]);
};

element("change").onsubmit = (event) => {
  event.preventDefault();
  const name = event.target.elements.what.value;
  const field = { updateCapitalAmount: ["availableCents"], updateCapitalRate: ["annualRate"] }[name] ?? [];
  submit(event.target, name, ["sourceId", ...field, "effectiveOn"]);
};

element("change").onchange = (event) => {
  if (event.target.name === "what") {
    showFields();
  }
};

for (const id of ["add", "change"]) {
  element(id).elements.effectiveOn.value = today();
}
new ResizeObserver(drawTrend).observe(element("trend"));
showFields();
signIn().then(follow);
