// Formulas and tables wider than the window scroll sideways: let keys reach those that do.
document$.subscribe(({ body }) => {
  const boxes = body.querySelectorAll(".md-typeset__scrollwrap, div.arithmatex");
  const reach = () => {
    for (const box of boxes)
      if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
      else box.removeAttribute("tabindex");
  };
  new ResizeObserver(reach).observe(body); // a window made narrower, a closed box opened
  document.fonts.addEventListener("loadingdone", reach);
});
