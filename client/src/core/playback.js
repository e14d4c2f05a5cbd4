import { VoiceAgentError } from './errors.js';

/** The agent's voice in an `<audio>` element. Some browsers play nothing before the person has clicked. */
export class Playback {
  /**
   * @param {HTMLAudioElement} audio
   * @param {(isBlocked: boolean) => void} onBlocked
   */
  constructor(audio, onBlocked) {
    this.audio = audio;
    this.onBlocked = onBlocked;
  }

  /** @param {MediaStream} stream */
  async play(stream) {
    this.audio.srcObject = stream;
    await this.start();
  }

  /** To be called from a click if it was blocked. */
  async start() {
    try {
      await this.audio.play();
      this.onBlocked(false);
    } catch (error) {
      // Another stream or the end of the call interrupts `play`: that is no refusal.
      if (/** @type {DOMException} */ (error).name === 'NotAllowedError') this.onBlocked(true);
    }
  }

  /**
   * Rejects with a `VoiceAgentError`. Does nothing in browsers that leave this to the system.
   * @param {string} deviceId Of a loudspeaker.
   */
  async chooseDevice(deviceId) {
    try {
      if ('setSinkId' in this.audio) await this.audio.setSinkId(deviceId);
    } catch {
      throw new VoiceAgentError('speaker_missing', 'This loudspeaker was not found.');
    }
  }

  stop() {
    this.audio.pause();
    this.audio.srcObject = null;
  }
}
