// What a developer takes along: the request that was just made.

/** The request as a command. */
export const curl = (name, query) => `curl -F photo=@${quoted(name)} ${quoted(address(query))}`;

/** The request in C#. */
export const csharp = (name, query) => `using System.Net.Http.Json;
using System.Text.Json.Nodes;

using var client = new HttpClient();
using var form = new MultipartFormDataContent { { new StreamContent(File.OpenRead(${literal(name)})), "photo", ${literal(name)} } };
using HttpResponseMessage response = await client.PostAsync(${literal(address(query))}, form);
JsonNode answer = (await response.Content.ReadFromJsonAsync<JsonNode>())!;
Console.WriteLine(response.IsSuccessStatusCode ? answer["results"]![0]!["captions"]![0]!["text"] : answer["detail"]);
`;

/** The caption as an attribute of HTML. */
export const alt = text => `alt="${text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')}"`;

const address = query => new URL('captions', document.baseURI).href + (query ? `?${query}` : '');

const quoted = text => /^[\w./:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

const literal = text => JSON.stringify(text);
