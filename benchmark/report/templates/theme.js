// Light or dark: what the reader chose last, else what the system says.
const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

function isDark() {
  return (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
}

function nameTheme() {
  theme.textContent = isDark() ? "Light" : "Dark";
  theme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
}

const chosen = localStorage.getItem("dpbench-theme");
if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
nameTheme();
theme.hidden = false;
system.addEventListener("change", nameTheme);
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  localStorage.setItem("dpbench-theme", root.dataset.theme);
  nameTheme();
  document.dispatchEvent(new Event("theme"));
});
