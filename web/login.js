// Signs in with the token: the server answers with a cookie that no script sees.

/** @param {string} id */
const byId = (id) => /** @type {any} */ (document.getElementById(id));

if (new URLSearchParams(location.search).has("login")) {
  byId("used").hidden = false;
  history.replaceState(null, "", "/");
}

byId("login").addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  const note = byId("note");
  note.hidden = true;
  try {
    const answer = await fetch("/api/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: byId("token").value.trim() }),
    });
    if (answer.ok) return location.replace("/");
    const problem = await answer.json();
    note.textContent = problem.detail || problem.title;
  } catch {
    note.textContent = "The server does not answer. Does it still run?";
  }
  note.hidden = false;
});
