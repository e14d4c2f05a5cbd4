/**
 * Events come over the data channel and over the WebSocket, each in order and with the same numbers (`seq`). Whatever
 * comes first counts; what was missed is sent again after `lastSeq`.
 */

/** How many numbers above a gap are remembered. Some events are never sent again, so a gap may stay. */
const REMEMBERED = 500;

export class EventOrder {
  /** @param {number} lastSeq That of a session which goes on. */
  constructor(lastSeq = 0) {
    /** Every event up to this one has come, or will not come any more. */
    this.lastSeq = lastSeq;
    /** @type {Set<number>} */
    this.ahead = new Set();
  }

  /**
   * Whether the event is new. Afterwards it is not.
   * @param {number} seq
   */
  take(seq) {
    if (seq <= this.lastSeq || this.ahead.has(seq)) return false;
    this.ahead.add(seq);
    if (this.ahead.size > REMEMBERED) this.lastSeq = Math.min(...this.ahead) - 1;
    while (this.ahead.delete(this.lastSeq + 1)) this.lastSeq += 1;
    return true;
  }
}
