const ICONS = {
  call: 'M6.6 10.8a15 15 0 0 0 6.6 6.6l2.2-2.2a1 1 0 0 1 1-.25 11.4 11.4 0 0 0 3.6.57 1 1 0 0 1 1 1V20a1 1 0 0 1-1 1A17 17 0 0 1 3 4a1 1 0 0 1 1-1h3.5a1 1 0 0 1 1 1c0 1.25.2 2.45.57 3.57a1 1 0 0 1-.25 1z',
  microphone: 'M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3zm5-3a5 5 0 0 1-10 0H5a7 7 0 0 0 6 6.9V22h2v-3.1A7 7 0 0 0 19 12z',
  stop: 'M7 7h10v10H7z',
  devices: 'M4 7h10.2a3 3 0 0 0 5.6 0H20V5h-.2a3 3 0 0 0-5.6 0H4zm0 12h10.2a3 3 0 0 0 5.6 0H20v-2h-.2a3 3 0 0 0-5.6 0H4zm0-6h.2a3 3 0 0 0 5.6 0H20v-2H9.800a3 3 0 0 0-5.6 0H4z',
};

/** @param {keyof typeof ICONS} name */
const icon = (name) => `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;

/** What is in the element's shadow root. */
export const TEMPLATE = `
<div class="stage" part="stage">
  <details class="devices" part="devices" hidden><summary>${icon('devices')}Devices</summary>
    <div>
      <label>Microphone <select id="microphone"></select></label>
      <label>Loudspeaker <select id="speaker"></select></label>
    </div>
  </details>
  <div class="presence" part="presence" data-phase="idle" aria-hidden="true"><div class="caller"></div><div class="agent"></div></div>
  <p class="status" part="status" role="status"><span class="word">Ready</span><span class="quality" hidden></span></p>
  <div class="controls" part="controls">
    <button id="muteBtn" part="mute-button" type="button" aria-pressed="false" aria-label="Mute" title="Mute" disabled>${icon('microphone')}</button>
    <button id="callBtn" part="call-button" type="button">${icon('call')}<span>Call</span></button>
    <button id="interruptBtn" part="interrupt-button" type="button" aria-label="Stop the agent" title="Stop the agent (Esc)"
            aria-keyshortcuts="Escape" disabled>${icon('stop')}</button>
  </div>
  <button id="talkBtn" part="talk-button" type="button" aria-pressed="false" hidden disabled>Hold to talk</button>
</div>
<p id="problem" part="problem" role="alert" hidden></p>
<button id="audioBtn" part="audio-button" type="button" hidden>Let the agent be heard</button>
<section id="conversation" part="conversation" role="log" aria-label="Conversation" tabindex="0">
  <p class="hint">What you and the agent say appears here.</p>
  <ol id="transcript" part="transcript"></ol>
</section>
<form id="textForm" part="text-form">
  <input id="textInput" part="text-input" type="text" maxlength="2000" autocomplete="off" dir="auto"
         placeholder="Type instead of speaking" aria-label="Message" disabled>
  <button id="textBtn" part="send-button" type="submit" disabled>Send</button>
</form>`;
