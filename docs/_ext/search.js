// Ranking and excerpts of the search; Sphinx includes this file in its script.
// Guides come before the names of the API, which match most words of the guides, too.
const SECTION_BONUS = {"how-to": 4, explanation: 3, tutorials: 2};

var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: {0: 15, 1: 5, 2: -5},
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  score: ([page, , , , score, , kind]) => {
    if (kind === SearchResultKind.object) return score / 4;
    return score + (SECTION_BONUS[page.split("/")[0]] ?? 0);
  },
};

// In an excerpt, separate the texts of neighbouring elements, such as a parameter and its meaning.
document.addEventListener("DOMContentLoaded", () => {
  const toText = Search.htmlToText;
  Search.htmlToText = (page, anchor) =>
    toText(page.replace(/<\/(dt|dd|p|li|t[dh]|h\d|pre|div)>/g, "$& "), anchor);
});
