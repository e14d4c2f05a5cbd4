import { VoiceAgentClient, VoiceAgentError } from './voice-agent.js';

const element = (id) => document.getElementById(id);
const serverUrl = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`;

const STATUS_TEXT = {
  ready: 'Ready',
  connecting: 'Connecting',
  listening: 'Listening',
  thinking: 'Thinking',
  speaking: 'Speaking',
  reconnecting: 'Reconnecting',
  ended: 'Ended',
};
const SPEAKERS = { user: 'You', agent: 'Agent', assistant: 'Agent' };
const CURES = {
  microphone_denied: 'Allow it in the address bar of the browser, then start again.',
  microphone_missing: 'Plug one in, then start again.',
  microphone_busy: 'Close the other program, then start again.',
  insecure_page: 'Open this page by https, or as http://127.0.0.1 on the machine that serves it.',
  unreachable: 'Check the network, then start again.',
  connection_lost: 'Check the network, then start again.',
  connect_timeout: 'A firewall may be blocking UDP between you and the server.',
  token_required: 'Open this page by the link that you were given.',
  token_used: 'Open a new link for another call.',
  token_expired: 'Open a new link.',
};

const ENGINES = { speechToText: 'Recogniser', languageModel: 'Language model', textToSpeech: 'Voice' };

const NO_DESCRIPTION = element('agentDescription').textContent;

let client = null;
let agents = [];
let entries = [];
let talking = false;
let token;

/** From `/#token=...`: a fragment stays out of logs. It is removed, so that nobody reads it in the address bar. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!given) return;
  token = given;
  history.replaceState(null, '', location.pathname + location.search);
}

function showStatus(status) {
  element('status').textContent = STATUS_TEXT[status] ?? status;
  element('status').dataset.status = status;
}

function showProblem(error) {
  const problem = element('problem');
  problem.hidden = !error;
  if (!error) {
    problem.textContent = '';
    return;
  }
  const sentence = /[.!?]$/.test(error.message) ? error.message : `${error.message}.`;
  const parts = [sentence[0].toUpperCase() + sentence.slice(1)];
  if (CURES[error.code]) parts.push(CURES[error.code]);
  if (error.retryAfterMs) parts.push(`Please try again in ${Math.ceil(error.retryAfterMs / 1000)} s.`);
  problem.textContent = parts.join(' ');
  problem.dataset.code = error.code;
}

function showButtons() {
  const running = client !== null;
  element('startBtn').disabled = running || !chosenAgent();
  element('stopBtn').disabled = !running;
  element('agent').disabled = running || agents.length === 0;
  element('agentName').disabled = running;
}

/** What needs the data channel. */
function showControls(enabled) {
  element('textInput').disabled = !enabled;
  element('textBtn').disabled = !enabled;
  element('talkBtn').disabled = !enabled;
  if (!enabled) talk(false);
}

/** Whoever holds the button has the floor. */
function talk(pressed) {
  if (pressed === talking || (pressed && !client?.sendTalk(true))) return;
  if (!pressed) client?.sendTalk(false);
  talking = pressed;
  element('talkBtn').setAttribute('aria-pressed', String(pressed));
  element('talkBtn').textContent = pressed ? 'Release when you are done' : 'Hold to talk';
}

function chosenAgent() {
  return agents.length ? element('agent').value : element('agentName').value.trim();
}

/** Interim text of a speaker gives way to newer text of the same speaker; entries stand in the order they began. */
function addTranscript({ role, text, final, seq }) {
  const known = entries.find((entry) => !entry.final && entry.role === role);
  if (!final && entries.some((entry) => entry.final && entry.role === role && entry.seq > seq)) return;
  if (known) {
    if (known.seq > seq) return;
    Object.assign(known, { text, final, seq });
  } else {
    entries.push({ role, text, final, seq, since: seq, item: transcriptItem(role) });
  }
  entries.sort((one, other) => one.since - other.since);
  renderTranscript();
}

function transcriptItem(role) {
  const item = document.createElement('li');
  const speaker = document.createElement('span');
  item.dataset.role = role === 'assistant' ? 'agent' : role;
  speaker.className = 'speaker';
  speaker.textContent = SPEAKERS[role] ?? role;
  item.append(speaker, document.createElement('span'));
  return item;
}

function renderTranscript() {
  const list = element('transcript');
  entries.forEach(({ item, text, final }, index) => {
    item.lastElementChild.textContent = text;
    item.classList.toggle('interim', !final);
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  element('emptyHint').hidden = entries.length > 0;
  const pane = element('conversation');
  pane.scrollTop = pane.scrollHeight;
}

function clearTranscript() {
  entries = [];
  element('transcript').replaceChildren();
  element('emptyHint').hidden = false;
}

async function fetchJson(path) {
  const response = await fetch(path, token && { headers: { authorization: `Bearer ${token}` } });
  if (response.ok) return response.json();
  const { code, message } = await response.json();
  throw new VoiceAgentError(code, message);
}

async function start() {
  clearTranscript();
  showProblem(null);
  showStatus('connecting');
  const call = new VoiceAgentClient({ serverUrl, agentId: chosenAgent(), token });
  client = call;
  showButtons();
  call.onTranscript = (entry) => {
    addTranscript(entry);
    if (entry.final && entry.role !== 'user') showProblem(null); // the agent answers again
  };
  call.onStatus = showStatus;
  call.onError = showProblem;
  call.onReady = () => showControls(true);
  call.onEnded = (error) => {
    client = null;
    showStatus('ended');
    if (error) showProblem(error);
    showControls(false);
    showButtons();
  };
  try {
    call.iceServers = (await fetchJson('/api/ice-servers')).iceServers;
  } catch (error) {
    const known = error instanceof VoiceAgentError && error.code;
    call.end(known ? error : new VoiceAgentError('unreachable', 'The server cannot be reached.'));
    return;
  }
  if (!call.ended) await call.connect().catch(() => {});
}

function describeAgent() {
  const agent = agents.find(({ id }) => id === chosenAgent());
  element('agentDescription').textContent = agent?.description || NO_DESCRIPTION;
  const engines = Object.keys(ENGINES).filter((kind) => agent?.engines?.[kind]);
  element('agentEngines').textContent = engines.map((kind) => `${ENGINES[kind]}: ${agent.engines[kind]}`).join(' · ');
  element('agentEngines').hidden = engines.length === 0;
  element('talkBtn').hidden = agent?.turnTaking !== 'push_to_talk';
}

async function loadAgents() {
  try {
    ({ agents } = await fetchJson('/api/agents'));
  } catch (error) {
    showProblem(new VoiceAgentError('unreachable', 'The list of agents cannot be loaded.'));
  }
  const picker = element('agent');
  picker.replaceChildren(...agents.map(({ id, name }) => new Option(name, id)));
  const wanted = new URLSearchParams(location.search).get('agent');
  if (agents.some(({ id }) => id === wanted)) picker.value = wanted;
  else element('agentName').value = wanted ?? '';
  // A server that does not name its agents still takes the name of one.
  picker.hidden = agents.length === 0;
  element('agentName').hidden = agents.length > 0;
  describeAgent();
  showButtons();
}

element('startBtn').onclick = start;
element('stopBtn').onclick = () => client?.disconnect();
element('agent').onchange = describeAgent;
element('agentName').oninput = showButtons;
element('textForm').onsubmit = (event) => {
  event.preventDefault();
  const input = element('textInput');
  const text = input.value.trim();
  if (text && client?.sendText(text)) input.value = '';
};
const talkButton = element('talkBtn');
talkButton.onpointerdown = (event) => {
  if (event.button !== 0) return;
  // Also what ends outside of the button, or is cancelled, ends the capture.
  talkButton.setPointerCapture(event.pointerId);
  talk(true);
};
talkButton.onlostpointercapture = () => talk(false);
talkButton.onkeydown = (event) => {
  if (event.key !== ' ' && event.key !== 'Enter') return;
  event.preventDefault();
  if (!event.repeat) talk(true);
};
talkButton.onkeyup = (event) => {
  if (event.key === ' ' || event.key === 'Enter') talk(false);
};
talkButton.onblur = () => talk(false);
talkButton.oncontextmenu = (event) => event.preventDefault();
window.addEventListener('blur', () => talk(false));
window.addEventListener('pagehide', () => client?.disconnect());
window.addEventListener('hashchange', takeToken);
takeToken();
loadAgents();
