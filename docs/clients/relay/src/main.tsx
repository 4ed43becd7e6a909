import { Window } from "happy-dom";
import { Suspense } from "react";
import { RelayEnvironmentProvider } from "react-relay";

import { Funds } from "./Funds";
import { environment } from "./environment";

// A window of happy-dom stands in for the browser, so that this runs in a terminal.
const browser = new Window();
for (const name of ["window", "document", "navigator"] as const) {
  Object.defineProperty(globalThis, name, { value: browser[name], configurable: true });
}
const { createRoot } = await import("react-dom/client");

const root = createRoot(document.body);
root.render(
  <RelayEnvironmentProvider environment={environment}>
    <Suspense fallback="...">
      <Funds />
    </Suspense>
  </RelayEnvironmentProvider>,
);

/** The funds that are shown, with their companies. */
function lines(): string[] {
  const text = (fund: Element, selector: string) => fund.querySelector(selector)?.textContent;
  return [...document.querySelectorAll("li")].map((fund) => `${text(fund, "h2")}: ${text(fund, "p")}`);
}

/** Clicks a button as soon as it is there, and waits until the page has changed. */
async function click(label: string): Promise<void> {
  const before = lines().join();
  const button = () => [...document.querySelectorAll("button")].find(({ textContent }) => textContent === label);
  await until(() => button() !== undefined);
  button()!.click();
  await until(() => lines().join() !== before);
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 10));
}

await until(() => lines().length > 0);
console.log(`at first: ${lines().length} funds`);
await click("More funds");
console.log(`after a click: ${lines().length} funds`);
await click("More companies of Northlight Growth I");
console.log(lines().find((line) => line.startsWith("Northlight Growth I")));
root.unmount();
await browser.happyDOM.close();
process.exit(); // React's scheduler leaves a port open, and would keep Node waiting.
