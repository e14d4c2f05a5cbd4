/** Keeps the screen on during a call. A phone that sleeps takes the microphone away. */
export class WakeLock {
  constructor() {
    /** @type {WakeLockSentinel | null} */
    this.sentinel = null;
    this.isWanted = false;
  }

  /** To be called again when the page becomes visible: the browser releases the lock of a hidden page. */
  async hold() {
    this.isWanted = true;
    if ((this.sentinel && !this.sentinel.released) || document.visibilityState !== 'visible') return;
    try {
      const sentinel = await navigator.wakeLock?.request('screen');
      if (this.isWanted) this.sentinel = sentinel ?? null;
      else void sentinel?.release();
    } catch {
      // On low battery the browser refuses; the call goes on without.
    }
  }

  release() {
    this.isWanted = false;
    void this.sentinel?.release();
    this.sentinel = null;
  }
}
