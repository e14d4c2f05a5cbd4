import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';

import { IDLE_CALL, VoiceAgentClient, type CallState, type VoiceAgentConfig } from '../src/voice-agent.js';

export interface VoiceSession extends CallState {
  /** Null while a page is rendered on a server. */
  client: VoiceAgentClient | null;
  /** Resolves when both can hear each other; rejects with a `VoiceAgentError`, which is also in `error`. */
  connect(): Promise<void>;
  disconnect(): void;
}

export interface VoiceSessionOptions extends VoiceAgentConfig {
  /** Final words of either side. */
  onTranscript?: (role: 'user' | 'agent', text: string) => void;
}

/** A call with an agent. It ends when the component goes, or gets another agent or server. */
export function useVoiceSession(options: VoiceSessionOptions): VoiceSession {
  const { serverUrl, agentId } = options;
  const latest = useRef(options);
  latest.current = options;
  const client = useMemo(() => (typeof window === 'undefined' ? null : createClient(latest)), [serverUrl, agentId]);
  useEffect(() => () => client?.disconnect(), [client]);
  const state = useCallState(client);
  return useMemo(() => ({
    ...state,
    client,
    connect: async () => client?.connect(),
    disconnect: () => client?.disconnect(),
  }), [state, client]);
}

/** The state of a client's call, at each render. */
export function useCallState(client: VoiceAgentClient | null): CallState {
  const subscribe = useMemo(() => (listener: () => void) => client?.subscribe(listener) ?? (() => {}), [client]);
  return useSyncExternalStore(subscribe, () => client?.state ?? IDLE_CALL, () => IDLE_CALL);
}

function createClient(latest: { current: VoiceSessionOptions }): VoiceAgentClient {
  const client = new VoiceAgentClient({
    ...latest.current,
    // The one that was given last, because it often closes over something that changes.
    ...(latest.current.getToken ? { getToken: () => latest.current.getToken?.() ?? '' } : {}),
  });
  client.onTranscript = ({ role, text, final }) => {
    if (final) latest.current.onTranscript?.(role, text);
  };
  return client;
}
