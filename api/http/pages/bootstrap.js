// Starts GraphiQL with the server's example operations and, in a demo, its token.
"use strict";

const acceptedMediaTypes = "application/graphql-response+json, application/json;q=0.9";
const tabsKey = "graphiql:tabState";
const headersKey = "graphiql:headers";
const variablesKey = "graphiql:variables";

async function loadSession() {
  const response = await fetch(new URL("graphiql/session.json", document.baseURI));
  if (!response.ok) {
    throw new Error(`session.json answered ${response.status}`);
  }
  return response.json();
}

// Tabs are kept per browser tab: a reload keeps what was typed, a new tab opens with the server's present examples
// and ids. Their headers hold a token and are not kept; a reload fills in the present one. GraphiQL's history does keep
// headers, which is the other reason for a storage that ends with the browser tab.
function restoreTabs(headers, firstVariables) {
  const stored = sessionStorage.getItem(tabsKey);
  if (stored === null) {
    // GraphiQL shows the first tab's variables only when they are in its storage.
    sessionStorage.setItem(variablesKey, firstVariables);
    return;
  }
  const state = JSON.parse(stored);
  for (const tab of state.tabs) {
    tab.headers = headers;
  }
  sessionStorage.setItem(tabsKey, JSON.stringify(state));
  // GraphiQL recognises the active tab by its query, variables and headers.
  sessionStorage.setItem(headersKey, headers);
}

function createFetcher() {
  const endpoint = new URL("graphql", document.baseURI);
  const subscriptions = new URL(endpoint);
  subscriptions.protocol = endpoint.protocol === "https:" ? "wss:" : "ws:";
  return GraphiQL.createFetcher({
    url: endpoint.href,
    subscriptionUrl: subscriptions.href,
    headers: { accept: acceptedMediaTypes },
    enableIncrementalDelivery: false,
  });
}

function Page({ fetcher, tabs, headers, defaultQuery }) {
  const [query, setQuery] = React.useState(undefined);
  const explorer = GraphiQLPluginExplorer.useExplorerPlugin({
    query: query ?? sessionStorage.getItem("graphiql:query") ?? tabs?.[0].query ?? "",
    onEdit: setQuery,
    showAttribution: false,
  });
  return React.createElement(GraphiQL, {
    fetcher,
    query,
    onEditQuery: setQuery,
    defaultTabs: tabs,
    defaultQuery,
    defaultHeaders: headers,
    defaultEditorToolsVisibility: "headers",
    shouldPersistHeaders: false,
    plugins: [explorer],
    storage: sessionStorage,
  });
}

async function start() {
  let session = { examples: [] };
  let defaultQuery;
  try {
    session = await loadSession();
  } catch (error) {
    defaultQuery = `# The example operations could not be loaded: ${error.message}\n`;
  }
  const headers = session.token ? JSON.stringify({ Authorization: `Bearer ${session.token}` }, null, 2) : "";
  const tabs = session.examples.map(({ name, query, variables }) => ({
    query: `# ${name}\n\n${query}`,
    variables,
    headers,
  }));
  restoreTabs(headers, tabs[0]?.variables ?? "");
  const properties = {
    fetcher: createFetcher(),
    tabs: tabs.length ? tabs : undefined,
    headers,
    defaultQuery,
  };
  ReactDOM.render(React.createElement(Page, properties), document.getElementById("graphiql"));
}

start().catch((error) => {
  document.getElementById("graphiql").textContent = `GraphiQL could not start: ${error.message}`;
  throw error;
});
