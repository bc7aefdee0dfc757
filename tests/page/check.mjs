// What a browser finds on a page: node check.mjs PAGE SETTING...   A setting is 360-light, 1280-dark, print-light and so on.
// Prints one JSON object: for each setting the violations that axe-core finds, the requests that leave the page, the
// elements that stick out of it or are cut off, the errors in the console, and what the Tab key does not reach.

import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

const PAPER = 718; // A4 less Chromium's margins, in CSS pixels

const [file, ...settings] = process.argv.slice(2);
const address = pathToFileURL(file).href;
const browser = await chromium.launch({
  executablePath: execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim(),
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  timeout: 0,
});
const found = {};
for (const setting of settings) found[setting] = await visit(setting);
await browser.close();
console.log(JSON.stringify(found));

async function visit(setting) {
  const [width, colorScheme] = setting.split('-');
  const print = width === 'print';
  const context = await browser.newContext({ viewport: { width: print ? PAPER : Number(width), height: 900 }, colorScheme });
  context.setDefaultTimeout(0);
  const page = await context.newPage();
  const requests = [], errors = [];
  await page.emulateMedia({ media: print ? 'print' : 'screen' });
  await page.route(/^(https?|wss?):/, (route) => route.abort()); // even a faulty page reaches no host
  page.on('request', (request) => own(request.url()) || requests.push(request.url()));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(address);
  await page.evaluate(() => document.fonts.ready);
  const layout = await page.evaluate(measured, print);
  const keyboard = print || colorScheme === 'dark' ? {} : await tabbed(page); // the scheme changes no order
  await page.evaluate(axe.source);
  const violations = await page.evaluate(violated);
  await context.close();
  return { violations, requests, errors, ...layout, ...keyboard };
}

function own(url) {
  return url.startsWith('data:') || url.split('#')[0] === address;
}

// Runs in the page.
async function violated() {
  const { violations } = await axe.run(document, { resultTypes: ['violations'] });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => ({
    id, target: node.target.join(' '), html: node.html.slice(0, 200), summary: node.failureSummary,
  })));
}

// Runs in the page. `outside`: what the reader would have to scroll the page sideways for; `cut`: boxes that hide a part
// of themselves, as on paper those that scroll do (one pixel wide: hidden on purpose); `small`: controls under 44 pixels.
function measured(print) {
  const room = document.documentElement.clientWidth;
  const style = (element) => getComputedStyle(element);
  const clips = (element) => style(element).overflowX !== 'visible';
  const hides = (element) => clips(element) && (print || /hidden|clip/.test(style(element).overflowX));
  const clipped = (element) => {
    for (let box = element.parentElement; box && box !== document.body; box = box.parentElement) if (clips(box)) return true;
    return false;
  };
  const sticksOut = (element) => {
    const { left, right, width } = element.getBoundingClientRect();
    return width > 0 && right > 0 && (right > room + 1 || left < -1); // wholly to the left: hidden on purpose
  };
  const named = (element) => {
    const text = element.textContent.replace(/\s+/g, ' ').trim().slice(0, 60);
    return `${element.localName}${element.id && '#' + element.id} "${text}"`;
  };
  const all = [...document.body.querySelectorAll('*')];
  return {
    overflow: document.documentElement.scrollWidth - room,
    outside: all.filter((element) => sticksOut(element) && !clipped(element)).map(named),
    cut: all.filter((e) => hides(e) && e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1).map(named),
    small: all.filter((e) => e.matches('button, input, select, summary') && e.checkVisibility() && e.offsetHeight < 44).map(named),
    nameless: all.filter((e) => e.matches('[tabindex="0"]') && !label(e)).map(named),
  };

  function label(element) {
    const ids = (element.getAttribute('aria-labelledby') ?? '').split(/\s+/).filter(Boolean);
    const texts = ids.map((id) => document.getElementById(id)?.textContent ?? '');
    return (element.getAttribute('aria-label') ?? texts.join(' ')).trim();
  }
}

// Press Tab until the focus leaves the page. `unreached`: links, controls and scrolling boxes that never had the focus;
// `unmarked`: what had it without showing it.
async function tabbed(page) {
  const count = await page.evaluate(() => {
    const scrolls = (e) => e.scrollWidth > e.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(e).overflowX);
    const focusable = (e) => e.matches('a[href]:not([aria-hidden]), button, input, select, summary, [tabindex="0"]');
    const shown = [...document.querySelectorAll('body *')].filter((element) => element.checkVisibility());
    globalThis.waiting = new Set(shown.filter((element) => focusable(element) || scrolls(element)));
    globalThis.unmarked = [];
    return waiting.size;
  });
  for (let press = 0; press <= 2 * count; press += 1) {
    await page.keyboard.press('Tab');
    const inside = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === document.body) return false;
      const first = waiting.delete(element);
      if (first && getComputedStyle(element).outlineStyle === 'none') unmarked.push(element.outerHTML.slice(0, 120));
      return true;
    });
    if (!inside && press > 0) break;
  }
  return page.evaluate(() => ({ unreached: [...waiting].map((e) => e.outerHTML.slice(0, 120)), unmarked }));
}
