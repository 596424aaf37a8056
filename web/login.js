// Signs in with the token: the server answers with a cookie that no script sees.

/** @param {string} id */
const byId = (id) => /** @type {any} */ (document.getElementById(id));

const asked = new URLSearchParams(location.search);
const used = asked.has("login");
asked.delete("login");
const home = asked.size ? `/?${asked}` : "/";
if (used) {
  byId("used").hidden = false;
  history.replaceState(null, "", home);
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
    if (answer.ok) return location.replace(home);
    const problem = await answer.json();
    note.textContent = problem.detail || problem.title;
  } catch {
    note.textContent = "The server does not answer. Does it still run?";
  }
  note.hidden = false;
});
