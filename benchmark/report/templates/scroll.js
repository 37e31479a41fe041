// Says of what is wider than the screen that it goes on to the right.
for (const box of document.querySelectorAll(".scroll")) {
  const tell = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  box.addEventListener("scroll", tell, { passive: true });
  new ResizeObserver(tell).observe(box);
}
