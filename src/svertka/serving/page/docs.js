// The OpenAPI document as a page. All text is set as text, never as markup.

const main = document.getElementById("document");

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function table(heads, rows) {
  const made = element("table");
  const head = made.createTHead().insertRow();
  for (const name of heads) {
    const cell = element("th", "", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const text of row) line.insertCell().textContent = text;
  }
  return made;
}

function example(path, operation) {
  const url = new URL(path.slice(1), document.baseURI); // the server may be below a path
  return operation.requestBody ? `curl -F image=@photo.jpg ${url}` : `curl ${url}`;
}

function draw(api) {
  const follow = (value) => {
    if (!value?.$ref) return value;
    return value.$ref.split("/").slice(1).reduce((part, name) => part[name], api);
  };
  const nameOf = (schema) => schema?.$ref?.split("/").at(-1);
  const typeOf = (schema) => nameOf(schema) ?? [schema?.type ?? schema?.const ?? ""].flat().join(" or ");

  const intro = element("p", "", api.info.description);
  main.append(element("p", "note", `Release ${api.info.version}, OpenAPI ${api.openapi}`), intro);
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const section = element("section", "operation");
      section.append(element("h2", "", `${method.toUpperCase()} ${path}`), element("p", "", operation.summary));
      section.append(element("pre", "", example(path, operation)));
      const parameters = (operation.parameters ?? []).map(follow);
      if (parameters.length) {
        section.append(element("h3", "", "Parameters"));
        section.append(table(["name", "type", ""], parameters.map((one) => [one.name, typeOf(one.schema), one.description])));
      }
      const body = follow(operation.requestBody);
      if (body) {
        section.append(element("h3", "", "Body"), element("p", "", body.description));
        section.append(table(["kind", "holds"], Object.entries(body.content).map(([kind, { schema }]) => [
          kind, Object.keys(schema.properties).join(", "),
        ])));
      }
      section.append(element("h3", "", "Answers"));
      section.append(table(["status", "", "holds"], Object.entries(operation.responses).map(([status, given]) => {
        const response = follow(given);
        const [[kind, { schema }]] = Object.entries(response.content);
        return [status, response.description, nameOf(schema) ?? kind];
      })));
      main.append(section);
    }
  }
  const section = element("section", "operation");
  section.append(element("h2", "", "What answers hold"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const details = element("details");
    details.append(element("summary", "", name), element("pre", "", JSON.stringify(schema, null, 2)));
    section.append(details);
  }
  main.append(section);
}

try {
  draw(await (await fetch("openapi.json")).json());
} catch (error) {
  main.append(element("p", "status wrong", `The document cannot be shown: ${error.message}`));
}
