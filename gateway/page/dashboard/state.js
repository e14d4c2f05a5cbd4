/**
 * What the dashboard knows: `next` makes the next state of what has happened. Decides only.
 *
 * @typedef {import('./fleet.js').Worker} Worker
 * @typedef {import('./fleet.js').Session} Session
 * @typedef {import('./fleet.js').Entry} Entry
 *
 * @typedef {object} Opened The session whose transcript is read.
 * @property {string} id
 * @property {Session | null} session As last heard; null before that.
 * @property {boolean} isGone It has ended.
 * @property {readonly Entry[]} transcript
 *
 * @typedef {object} State
 * @property {readonly Worker[]} workers
 * @property {readonly Session[]} sessions The newest.
 * @property {number} total Sessions.
 * @property {string} heardAt When the gateway last answered, as people read it; empty before that.
 * @property {boolean} needsKey
 * @property {string} problem Why nothing new is known.
 * @property {string} refusal Why what the operator did last has failed.
 * @property {Opened | null} opened
 *
 * @typedef {{message: string, needsKey: boolean}} Failure
 *
 * @typedef {{type: 'heard', at: string, workers: Worker[], sessions: Session[], total: number}
 *   | {type: 'read', id: string, session: Session | null, transcript: Entry[] | null}
 *   | {type: 'failed', error: Failure}
 *   | {type: 'acted'}
 *   | {type: 'refused', error: Failure}
 *   | {type: 'opened', id: string}
 *   | {type: 'closed'}} Happening
 *   `read`: null for what the gateway does not have any more.
 */

/** @type {State} */
export const START = {
  workers: [], sessions: [], total: 0, heardAt: '', needsKey: false, problem: '', refusal: '', opened: null,
};

/**
 * @param {State} state
 * @param {Happening} happening
 * @returns {State}
 */
export function next(state, happening) {
  switch (happening.type) {
    case 'heard': {
      const { at, workers, sessions, total } = happening;
      return { ...state, heardAt: at, workers, sessions, total, needsKey: false, problem: '' };
    }
    case 'read': {
      const { opened } = state;
      const { id, session, transcript } = happening;
      if (opened?.id !== id) return state;
      const heard = { session: session ?? opened.session, isGone: session === null, transcript: transcript ?? opened.transcript };
      return { ...state, opened: { ...opened, ...heard } };
    }
    case 'failed': {
      const { message, needsKey } = happening.error;
      // Who has no key any more sees nothing any more either.
      return { ...(needsKey ? START : state), needsKey, problem: message };
    }
    case 'acted':
      return { ...state, refusal: '' };
    case 'refused':
      return { ...state, refusal: happening.error.message };
    case 'opened':
      return { ...state, refusal: '', opened: { id: happening.id, session: null, isGone: false, transcript: [] } };
    case 'closed':
      return { ...state, refusal: '', opened: null };
  }
}
