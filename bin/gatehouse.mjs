#!/usr/bin/env node
// Kept in the plainest words of the language, and without static imports: this file must still load, and say what is
// wrong, on a Node that is far too old for the rest.
import('./node-version.mjs').then((version) => {
  if (!version.isNodeRecentEnough()) return;
  import('./launch.mjs').then((launcher) => {
    launcher.launch(process.argv.slice(2));
  });
});
