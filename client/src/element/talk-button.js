/** A push-to-talk button: held by pointer, space or enter. Whoever holds it has the floor. */
export class TalkButton {
  /**
   * @param {HTMLButtonElement} button
   * @param {(pressed: boolean) => boolean} send False if it cannot be told to the agent.
   */
  constructor(button, send) {
    this.button = button;
    this.send = send;
    this.isPressed = false;
    button.onpointerdown = (event) => {
      if (event.button !== 0) return;
      // What ends outside of the button, or is cancelled, also ends the capture.
      button.setPointerCapture(event.pointerId);
      this.press(true);
    };
    button.onlostpointercapture = () => this.press(false);
    button.onkeydown = (event) => {
      if (event.key !== ' ' && event.key !== 'Enter') return;
      event.preventDefault();
      if (!event.repeat) this.press(true);
    };
    button.onkeyup = (event) => {
      if (event.key === ' ' || event.key === 'Enter') this.press(false);
    };
    button.onblur = () => this.press(false);
    button.oncontextmenu = (event) => event.preventDefault();
  }

  /** @param {boolean} isEnabled */
  enable(isEnabled) {
    this.button.disabled = !isEnabled;
    if (!isEnabled) this.press(false);
  }

  /** @param {boolean} pressed */
  press(pressed) {
    if (pressed === this.isPressed || (pressed && !this.send(true))) return;
    if (!pressed) this.send(false);
    this.isPressed = pressed;
    this.button.setAttribute('aria-pressed', String(pressed));
    this.button.textContent = pressed ? 'Release when you are done' : 'Hold to talk';
  }
}
