/** What the next bytes of a client are, beside LENGTH and CHUNKED (framing.ts), a body: the states that ARCHITECTURE.md draws. */
export const HEAD = 10
/** The request is complete, its answer is not: they wait. */
export const AHEAD = 11
export const TUNNEL = 12
/** We are done with this client: they are thrown away, so that a reset does not take our last answer with it. */
export const DISCARD = 13
