import { VoiceAgentError } from './errors.js';

/** One microphone, which may be changed or muted while it is in use. */
export class Microphone {
  /**
   * @param {(track: MediaStreamTrack) => void} onTrack Another track takes the place of the last one.
   * @param {(error: VoiceAgentError) => void} onLost It was unplugged, and no other can be opened.
   */
  constructor(onTrack, onLost) {
    this.onTrack = onTrack;
    this.onLost = onLost;
    /** @type {MediaStreamTrack | null} */
    this.track = null;
    this.isMuted = false;
    this.isClosed = true;
  }

  /** Of the device in use; empty if there is none. */
  get deviceId() {
    return this.track?.getSettings().deviceId ?? '';
  }

  /**
   * Rejects with a `VoiceAgentError`, and keeps the device that was in use.
   * @param {string} [deviceId] Of `listDevices`; empty for the default one.
   * @param {boolean} [noOther] Without it, the default one takes the place of one that is gone.
   */
  async open(deviceId = '', noOther = false) {
    this.isClosed = false;
    const track = await openTrack(noOther ? { exact: deviceId } : deviceId);
    if (this.isClosed) return track.stop();
    this.stopTrack();
    this.track = track;
    track.enabled = !this.isMuted;
    // Its device is gone: unplugged, or taken away by the browser.
    track.onended = () => this.open().catch((error) => this.isClosed || this.onLost(error));
    this.onTrack(track);
  }

  /** @param {boolean} isMuted */
  mute(isMuted) {
    this.isMuted = isMuted;
    if (this.track) this.track.enabled = !isMuted;
  }

  close() {
    this.isClosed = true;
    this.stopTrack();
  }

  stopTrack() {
    if (!this.track) return;
    this.track.onended = null;
    this.track.stop();
    this.track = null;
  }
}

/** @param {'audioinput' | 'audiooutput'} kind */
export async function listDevices(kind) {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  // Before the first permission they have neither id nor name.
  return devices.filter((device) => device.kind === kind && device.deviceId);
}

/** @param {ConstrainDOMString} deviceId */
async function openTrack(deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new VoiceAgentError('insecure_page', 'The browser gives the microphone only to https pages and localhost.');
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        echoCancellation: true, noiseSuppression: true, autoGainControl: true, sampleRate: 48000,
        ...(deviceId ? { deviceId } : {}),
      },
      video: false,
    });
    return /** @type {MediaStreamTrack} */ (stream.getAudioTracks()[0]);
  } catch (error) {
    throw explained(/** @type {DOMException} */ (error));
  }
}

/** @param {DOMException} error W3C Media Capture and Streams, section 10.3 */
function explained({ name, message }) {
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return new VoiceAgentError('microphone_denied', 'The microphone is not allowed.');
    case 'NotFoundError':
    case 'OverconstrainedError':
      return new VoiceAgentError('microphone_missing', 'No microphone was found.');
    case 'NotReadableError':
    case 'AbortError':
      return new VoiceAgentError('microphone_busy', 'The microphone is used by another program.');
    default:
      return new VoiceAgentError('microphone_failed', `The microphone cannot be used: ${message}`);
  }
}
