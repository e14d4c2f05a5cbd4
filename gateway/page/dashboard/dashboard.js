import { AdminApi, AdminError } from './admin-api.js';
import { sessionRows, summary, workerRows } from './fleet.js';
import { Table, write } from './table.js';

const EVERY_MS = 1_000;

const api = new AdminApi();
/** @type {{workers: import('./fleet.js').Worker[], sessions: import('./fleet.js').Session[], total: number, opened: string}} */
const state = { workers: [], sessions: [], total: 0, opened: '' };

/** @returns {any} */
const element = (/** @type {string} */ id) => document.getElementById(id);

/** @type {Table<ReturnType<typeof workerRows>[number]>} */
const workers = new Table(element('workers').tBodies[0], element('workerRow'), (find, worker) => {
  const { id, state: status, wish, load, isLate } = worker;
  find('state').dataset.state = status;
  find('load').value = load;
  find('load').ariaLabel = `Load of ${id}`;
  find('lag').classList.toggle('late', isLate);
  const serves = wish === 'serving';
  write(find('drain'), serves ? 'Drain' : 'Undo');
  find('drain').onclick = () => act(() => (serves ? api.drain(id, false) : api.undoDrain(id)));
  find('move').hidden = wish === 'moving';
  find('move').onclick = () => act(() => api.drain(id, true));
});

/** @type {Table<ReturnType<typeof sessionRows>[number]>} */
const sessions = new Table(element('sessions').tBodies[0], element('sessionRow'), (find, session) => {
  find('state').dataset.state = session.state;
  find('open').onclick = () => openSession(session.id);
});

function show() {
  write(element('summary'), summary(state.workers, state.total));
  workers.show(workerRows(state.workers));
  sessions.show(sessionRows(state.sessions, element('filter').value));
  element('noSessions').hidden = state.sessions.length > 0;
}

/** @param {unknown} error */
function showProblem(error) {
  const needsKey = error instanceof AdminError && error.needsKey;
  element('keyForm').hidden = !needsKey;
  const text = !error || (needsKey && !api.key) ? '' : /** @type {Error} */ (error).message;
  write(element('problem'), text);
  element('problem').hidden = !text;
}

async function refresh() {
  const [known, page] = await Promise.all([api.workers(), api.sessions()]);
  Object.assign(state, { workers: known, ...page });
  show();
  if (state.opened) showTranscript(await api.transcript(state.opened));
}

/** Asks again a second after each answer, so that a slow gateway is not asked twice at once. */
async function run() {
  for (;;) {
    if (document.visibilityState === 'visible') await refresh().then(() => showProblem(null), showProblem);
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

/** @param {() => Promise<void>} request */
async function act(request) {
  try {
    await request();
    await refresh();
  } catch (error) {
    showProblem(error);
  }
}

/** @param {string} session */
function openSession(session) {
  state.opened = session;
  write(element('sessionTitle'), session);
  element('transcript').replaceChildren();
  element('session').showModal();
  void act(async () => {});
}

/** @param {import('./fleet.js').Entry[]} entries */
function showTranscript(entries) {
  const list = element('transcript');
  const wasAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  for (const entry of entries.slice(list.children.length)) {
    const item = document.createElement('li');
    const speaker = document.createElement('span');
    speaker.className = 'speaker';
    speaker.textContent = { user: 'Caller', agent: 'Agent', tool: 'Tool' }[entry.role];
    const words = document.createElement('span');
    words.dir = 'auto';
    words.textContent = `${entry.text ?? entry.name ?? ''}${entry.interrupted ? ' (interrupted)' : ''}`;
    item.append(speaker, words);
    list.append(item);
  }
  if (wasAtEnd) list.scrollTop = list.scrollHeight;
}

element('filter').oninput = show;
element('closeSession').onclick = () => element('session').close();
element('session').onclose = () => (state.opened = '');
element('endSession').onclick = () => {
  if (!confirm('End this call? The caller is told that an operator has ended it.')) return;
  void act(() => api.end(state.opened));
  element('session').close();
};
element('keyForm').onsubmit = (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  api.useKey(element('key').value);
  element('key').value = '';
  void act(async () => {});
};
void run();
