// A refusal of the server: the name of its class, and in words what was wrong and what is accepted.

export class Refusal extends Error {
  constructor({ error, message, quality = {} }, status = 0) {
    super(message);
    this.name = error;
    this.status = status;
    this.quality = quality; // of a refused picture: its measures
  }

  // The refusal in a response that is not a success.
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
