/**
 * Events come over the data channel and over the WebSocket, under the same growing numbers (`seq`). Whatever comes first
 * counts. The WebSocket gets all of them in order, and after `resume` those that it missed, so it says how far we are.
 */

/** More than the server ever sends again. */
const REMEMBERED = 1_000;

export class EventOrder {
  constructor() {
    /** All events up to this one have come. */
    this.lastSeq = 0;
    /**
     * In the order in which they came.
     * @type {Set<number>}
     */
    this.seen = new Set();
  }

  /**
   * Whether the event is new. Afterwards it is not.
   * @param {number} seq
   * @param {boolean} bySocket
   */
  take(seq, bySocket) {
    if (bySocket) this.lastSeq = Math.max(this.lastSeq, seq);
    if (this.seen.has(seq)) return false;
    this.seen.add(seq);
    if (this.seen.size > REMEMBERED) this.seen.delete(/** @type {number} */ (this.seen.values().next().value));
    return true;
  }
}
