/** Who speaks now: a disc that swells with the agent's voice, in a ring that swells with the caller's. */

/** How fast a level falls, per frame. It rises at once. */
const FALL = 0.12;
const AGENT_SCALE = 0.35;
const CALLER_SCALE = 0.4;

export class Presence {
  /**
   * @param {HTMLElement} root With elements of the classes `agent` and `caller`.
   * @param {() => {microphone: number, agent: number}} levels
   */
  constructor(root, levels) {
    this.root = root;
    this.agent = /** @type {HTMLElement} */ (root.querySelector('.agent'));
    this.caller = /** @type {HTMLElement} */ (root.querySelector('.caller'));
    this.levels = levels;
    this.shown = { microphone: 0, agent: 0 };
    this.frame = 0;
  }

  /** @param {import('../voice-agent.js').CallState} state */
  show({ phase, status, isMuted }) {
    this.root.dataset.phase = phase;
    this.root.dataset.status = status;
    this.root.classList.toggle('muted', isMuted);
    const isMoving = phase === 'connected';
    if (isMoving && !this.frame) this.draw();
    if (!isMoving) this.stop();
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.scale(0, 0);
  }

  draw() {
    this.frame = requestAnimationFrame(() => this.draw());
    const { microphone, agent } = this.levels();
    this.shown.microphone = Math.max(microphone, this.shown.microphone - FALL);
    this.shown.agent = Math.max(agent, this.shown.agent - FALL);
    this.scale(this.shown.microphone, this.shown.agent);
  }

  /**
   * Transforms only, which need no layout.
   * @param {number} microphone
   * @param {number} agent
   */
  scale(microphone, agent) {
    this.agent.style.transform = `scale(${1 + AGENT_SCALE * agent})`;
    this.caller.style.transform = `scale(${1 + CALLER_SCALE * microphone})`;
  }
}
