/** The element's style. Colours and sizes are variables, and every part has a name for `::part()`. */
export const STYLE = `
:host {
  --_ground: var(--voice-agent-ground, #ffffff);
  --_ink: var(--voice-agent-ink, #1d2326);
  --_quiet: var(--voice-agent-quiet, #5c666b);
  --_line: var(--voice-agent-line, #dcdfdd);
  --_accent: var(--voice-agent-accent, #1f6f5c);
  --_on-accent: var(--voice-agent-on-accent, #ffffff);
  --_danger: var(--voice-agent-danger, #a8322a);
  --_soft: color-mix(in srgb, var(--_accent) 12%, var(--_ground));
  display: flex;
  flex-direction: column;
  gap: 1rem;
  color: var(--_ink);
  font: var(--voice-agent-font, 16px/1.5 system-ui, sans-serif);
}
@media (prefers-color-scheme: dark) {
  :host {
    --_ground: var(--voice-agent-ground, #1b1f21);
    --_ink: var(--voice-agent-ink, #e8e9e7);
    --_quiet: var(--voice-agent-quiet, #a2abaf);
    --_line: var(--voice-agent-line, #353b3e);
    --_accent: var(--voice-agent-accent, #74c3ad);
    --_on-accent: var(--voice-agent-on-accent, #0d211b);
    --_danger: var(--voice-agent-danger, #f0968d);
  }
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
p { margin: 0; }
svg { inline-size: 1.25rem; block-size: 1.25rem; fill: currentColor; flex: none; }
button, input, select {
  min-block-size: 2.75rem;
  padding: .4rem 1rem;
  border: 1px solid var(--_line);
  border-radius: 1.4rem;
  background: var(--_ground);
  color: inherit;
  font: inherit;
}
button { display: inline-flex; align-items: center; justify-content: center; gap: .5rem; cursor: pointer; }
button:disabled, input:disabled { color: var(--_quiet); cursor: default; }
button:disabled svg { opacity: .45; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }

.stage { position: relative; display: flex; flex-direction: column; align-items: center; gap: 1rem; }
.presence { position: relative; inline-size: 9rem; block-size: 9rem; margin: 1.25rem; }
@media (max-height: 50rem) {
  :host, .stage { gap: .75rem; }
  .presence { inline-size: 6.5rem; block-size: 6.5rem; margin: .5rem; }
}
.presence div { position: absolute; inset: 0; border-radius: 50%; will-change: transform; transition: background-color .4s, opacity .4s; }
.presence .caller { border: 2px solid var(--_accent); opacity: .35; }
.presence .agent { inset: 18%; background: radial-gradient(circle at 35% 30%, color-mix(in srgb, var(--_accent) 55%, white), var(--_accent)); }
.presence:not([data-phase="connected"]) .agent { filter: saturate(.25); opacity: .55; }
.presence:not([data-phase="connected"]) .caller, .presence.muted .caller { opacity: .12; }
.presence[data-status="thinking"] .agent,
.presence[data-phase="connecting"] .agent,
.presence[data-phase="reconnecting"] .agent { animation: breathe 1.6s ease-in-out infinite; }
@keyframes breathe { 50% { opacity: .35; } }
@media (prefers-reduced-motion: reduce) { .presence div { animation: none !important; transform: none !important; transition: none; } }

.status { min-block-size: 1.5rem; color: var(--_quiet); text-align: center; }
/* In the corners, where they move nothing when they come. */
.quality, .devices { position: absolute; inset-block-start: 0; color: var(--_quiet); font-size: .85rem; }
.quality { inset-inline-end: 0; max-inline-size: calc(50% - 4rem); text-align: end; }
.quality::before { content: "\\25CF\\00A0"; color: #b97a10; }
.quality[data-quality="good"]::before { color: var(--_accent); }
.quality[data-quality="lost"]::before { color: var(--_danger); }

.controls { display: flex; align-items: center; gap: 1rem; }
#muteBtn, #interruptBtn { inline-size: 2.75rem; padding: 0; }
#muteBtn[aria-pressed="true"] { border-color: var(--_danger); color: var(--_danger); }
#muteBtn[aria-pressed="true"] svg { background: linear-gradient(45deg, transparent 46%, currentColor 46% 54%, transparent 54%); }
#callBtn { min-inline-size: 9rem; min-block-size: 3.5rem; border-radius: 1.75rem; border-color: transparent; font-weight: 600;
  background: var(--_accent); color: var(--_on-accent); }
#callBtn.in-call { border-color: var(--_danger); background: var(--_ground); color: var(--_danger); }
#callBtn.in-call svg { rotate: 135deg; }
#talkBtn { min-block-size: 3.5rem; inline-size: min(100%, 22rem); border-color: var(--_accent); color: var(--_accent); font-weight: 600;
  touch-action: none; user-select: none; -webkit-user-select: none; -webkit-touch-callout: none; }
#talkBtn[aria-pressed="true"] { background: var(--_accent); color: var(--_on-accent); }
#talkBtn:disabled { border-color: var(--_line); color: var(--_quiet); }
.devices { inset-inline-start: 0; }
.devices summary { display: flex; align-items: center; gap: .4rem; inline-size: fit-content; min-block-size: 1.5rem; cursor: pointer;
  list-style: none; }
.devices summary::-webkit-details-marker { display: none; }
.devices div { position: relative; z-index: 1; inline-size: 12rem; margin-block-start: .4rem; padding: .5rem .75rem .75rem;
  border: 1px solid var(--_line); border-radius: 1rem; background: var(--_ground); }
.devices label { display: grid; gap: .2rem; margin-block-start: .3rem; }
.devices select { min-inline-size: 0; min-block-size: 2.25rem; }

#problem { padding: .7rem 1rem; border-radius: .75rem; color: var(--_danger);
  background: color-mix(in srgb, var(--_danger) 10%, var(--_ground)); }
#audioBtn { border-color: var(--_accent); color: var(--_accent); }

#conversation { flex: 1 1 9rem; min-block-size: 9rem; overflow-y: auto; padding: 1rem; border: 1px solid var(--_line);
  border-radius: 1.25rem; background: var(--_ground); }
.hint { text-align: center; color: var(--_quiet); }
#transcript { display: flex; flex-direction: column; gap: .75rem; margin: 0; padding: 0; list-style: none; }
#transcript li { display: flex; flex-direction: column; max-inline-size: 85%; padding: .5rem .9rem; border-radius: 1rem;
  overflow-wrap: anywhere; }
#transcript li[data-role="user"] { align-self: flex-end; background: var(--_soft); }
#transcript li[data-role="agent"] { align-self: flex-start; border: 1px solid var(--_line); }
#transcript .interim .text { color: var(--_quiet); }
#transcript .speaker, #transcript .mark { color: var(--_quiet); font-size: .8rem; }
#transcript .mark { font-style: italic; }
#transcript .tool { flex-direction: row; gap: .5rem; align-self: center; padding: 0; color: var(--_quiet); font-size: .85rem; }
#transcript .tool .name { font-family: ui-monospace, monospace; }
#transcript .tool[data-ok="false"] .how { color: var(--_danger); }
.latency { display: flex; align-items: center; gap: .5rem; margin-block-start: .25rem; color: var(--_quiet); font-size: .75rem;
  font-variant-numeric: tabular-nums; }
.latency .bar { display: flex; gap: 1px; flex: 0 1 9rem; block-size: .3rem; border-radius: .15rem; overflow: hidden; background: color-mix(in srgb, var(--_line) 50%, transparent); }
.latency .endpointMs { background: #8a9aa3; }
.latency .sttFinalMs { background: #c78b2e; }
.latency .llmFirstTokenMs { background: #7a62b8; }
.latency .ttsFirstAudioMs { background: var(--_accent); }
.latency .firstPacketMs { background: #3f7fbf; }

#textForm { display: flex; gap: .6rem; }
#textInput { flex: 1; min-inline-size: 0; }
`;
