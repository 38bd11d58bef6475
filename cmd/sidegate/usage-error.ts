/** Wrong usage, in a sentence for people: exit code 2. What a command finds or meets is an Error like others, exit code 1. */
export class UsageError extends Error {}
