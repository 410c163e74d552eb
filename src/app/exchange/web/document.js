// Every page's document: its data, its elements, its status.
'use strict';

const page = JSON.parse(document.getElementById('data').textContent);
const element = (id) => document.getElementById(id);

/** An element with these properties and children; `data` and `class` texts are never read as HTML. */
function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function say(text, isFault = false) {
  element('status').textContent = text;
  element('status').classList.toggle('fault', isFault);
}

/** What a reader is told of an error. */
const told = (error) => (error instanceof Problem ? error.message : `Something went wrong: ${error.message}`);
