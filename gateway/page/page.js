import '/client/voice-agent-element.js';

const ENGINES = { speechToText: 'Recogniser', languageModel: 'Language model', textToSpeech: 'Voice' };

/** @returns {any} */
const element = (/** @type {string} */ id) => document.getElementById(id);
const call = /** @type {import('/client/voice-agent-element.js').VoiceAgentElement} */ (document.querySelector('voice-agent'));
const noDescription = element('agentDescription').textContent;

/** @type {{id: string, name: string, description: string, turnTaking: string, engines: Record<string, string>}[]} */
let agents = [];
let token = history.state?.token ?? ''; // of this tab before it was reloaded

/** From `/#token=...`: a fragment stays out of logs. It is removed, so that nobody reads it in the address bar. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!given) return;
  token = given;
  history.replaceState({ token }, '', location.pathname + location.search);
}

/** A reloaded page, or a link to it, has the same agent. */
function keepAgent() {
  const url = new URL(location.href);
  url.searchParams.set('agent', chosenAgent());
  history.replaceState(history.state, '', url);
}

function chosenAgent() {
  return agents.length ? element('agent').value : element('agentName').value.trim();
}

function showAgent() {
  const agent = agents.find(({ id }) => id === chosenAgent());
  element('agentDescription').textContent = agent?.description || noDescription;
  const engines = /** @type {(keyof typeof ENGINES)[]} */ (Object.keys(ENGINES)).filter((kind) => agent?.engines?.[kind]);
  element('agentEngines').textContent = engines.map((kind) => `${ENGINES[kind]}: ${agent?.engines[kind]}`).join(' · ');
  element('agentEngines').hidden = engines.length === 0;
  call.toggleAttribute('push-to-talk', agent?.turnTaking === 'push_to_talk');
  call.setAttribute('agent-id', chosenAgent());
}

async function loadAgents() {
  try {
    const response = await fetch('/api/agents', { signal: AbortSignal.timeout(10_000) });
    ({ agents } = await response.json());
  } catch {
    element('pageProblem').textContent = 'The list of agents cannot be loaded. Check the network, then reload this page.';
    element('pageProblem').hidden = false;
  }
  const picker = element('agent');
  picker.replaceChildren(...agents.map(({ id, name }) => new Option(name, id)));
  const wanted = new URLSearchParams(location.search).get('agent');
  if (agents.some(({ id }) => id === wanted)) picker.value = wanted;
  else element('agentName').value = wanted ?? '';
  // A server that does not name its agents still takes the name of one.
  picker.hidden = agents.length === 0;
  element('agentName').hidden = agents.length > 0;
  showAgent();
}

function showWhetherInCall() {
  element('agent').disabled = call.isInCall || agents.length === 0;
  element('agentName').disabled = call.isInCall;
}

call.config = { getToken: () => token };
call.addEventListener('voice-agent-state', showWhetherInCall);
element('agent').onchange = () => {
  showAgent();
  keepAgent();
};
element('agentName').onchange = keepAgent;
element('agentName').oninput = showAgent;
addEventListener('hashchange', takeToken);
takeToken();
await loadAgents();
showWhetherInCall();
