import { useEffect, useMemo, useSyncExternalStore } from 'react';

import { IDLE_CALL, VoiceAgentClient, type CallState, type VoiceAgentConfig, type VoiceAgentError } from '../src/voice-agent.js';

type Callbacks = Pick<VoiceAgentClient, 'onError' | 'onEnded' | 'onTransfer' | 'onEvent'>;

export interface VoiceSession extends CallState {
  /** Null while a page is rendered on a server. */
  client: VoiceAgentClient | null;
  /** Resolves when both can hear each other, or when the call has failed: `error` says why. */
  connect(): Promise<void>;
  disconnect(): void;
}

/** Those of the client, as they are at the last render. Another server, agent or `remoteAudio` makes another client. */
export interface VoiceSessionOptions extends VoiceAgentConfig, Partial<Callbacks> {
  /** Final words of either side. */
  onTranscript?: (role: 'user' | 'agent', text: string) => void;
}

/** A call with an agent. It ends when the component goes, or gets another agent or server. */
export function useVoiceSession(options: VoiceSessionOptions): VoiceSession {
  const { serverUrl, agentId, iceTransportPolicy, remoteAudio, microphoneId } = options;
  const client = useMemo(
    () => (typeof window === 'undefined' ? null : new VoiceAgentClient(configOf(options))),
    [serverUrl, agentId, iceTransportPolicy, remoteAudio],
  );
  useEffect(() => () => client?.disconnect(), [client]);
  useEffect(() => {
    if (!client) return;
    const { token, getToken, iceServers, survivesReload } = options;
    client.configure({ token, getToken, iceServers, survivesReload });
    Object.assign(client, callbacksOf(options));
  });
  useEffect(() => {
    if (!client || microphoneId === undefined || microphoneId === client.microphoneId) return;
    client.chooseMicrophone(microphoneId).catch((error: VoiceAgentError) => client.onError(error));
  }, [client, microphoneId]);
  const state = useCallState(client);
  return useMemo(() => ({
    ...state,
    client,
    connect: async () => client?.connect().catch(() => {}),
    disconnect: () => client?.disconnect(),
  }), [state, client]);
}

/** The state of a client's call, at each render. */
export function useCallState(client: VoiceAgentClient | null): CallState {
  const subscribe = useMemo(() => (listener: () => void) => client?.subscribe(listener) ?? (() => {}), [client]);
  return useSyncExternalStore(subscribe, () => client?.state ?? IDLE_CALL, () => IDLE_CALL);
}

function configOf({ onTranscript, onError, onEnded, onTransfer, onEvent, ...config }: VoiceSessionOptions): VoiceAgentConfig {
  return config;
}

function callbacksOf({ onTranscript, ...callbacks }: VoiceSessionOptions): Callbacks & Pick<VoiceAgentClient, 'onTranscript'> {
  const ignore = () => {};
  const { onError = ignore, onEnded = ignore, onTransfer = ignore, onEvent = ignore } = callbacks;
  return {
    onError, onEnded, onTransfer, onEvent,
    onTranscript: ({ role, text, final }) => {
      if (final) onTranscript?.(role, text);
    },
  };
}
