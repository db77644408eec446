// What the server says no with: its class's name, and what was wrong and what is accepted, in words.

export class Refusal extends Error {
  constructor({ error, message }, status = 0) {
    super(message);
    this.name = error;
    this.status = status;
  }

  // Of an answer that is none of the good ones.
  static async of(response) {
    const said = await response.json().catch(() => null);
    const fallback = { error: "Unexpected", message: `the server answered ${response.status} ${response.statusText}` };
    return new Refusal(said?.message ? said : fallback, response.status);
  }
}

// Any error as a sentence for the page.
export function sentence(error) {
  if (error instanceof TypeError) return "The server cannot be reached. Is it still running?"; // what fetch throws
  const text = error.message || String(error);
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
