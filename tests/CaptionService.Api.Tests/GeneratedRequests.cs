using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using CaptionService.Api.Compatible;

namespace CaptionService.Api.Tests;

/// <summary>An operation of the OpenAPI document, and a request for it.</summary>
internal sealed record GeneratedRequest(string Operation, bool Compatible, JsonObject Responses, HttpRequestMessage Message, string Text);

/// <summary>
/// Requests made from an OpenAPI document's schemas: half as the schema says, the others with one thing wrong in each part.
/// The same seed makes the same requests.
/// </summary>
/// <param name="document">The document.</param>
/// <param name="random">Decides.</param>
/// <param name="photo">Stands where a schema asks for bytes.</param>
/// <param name="known">Values that mean something to the service, by a parameter's or member's name.</param>
internal sealed class GeneratedRequests(JsonNode document, Random random, byte[] photo, Dictionary<string, string[]> known)
{
    private static readonly string[] s_odd =
    [
        "", " ", "0", "-1", "1e999", "NaN", "true", "null", "[]", "{}", "9223372036854775808", "0x10", "１", "1,5", "a b", "ünï", "🦊", "'", "\"", "<script>",
        "..", "../../etc/passwd", "%00", "\u0000", "\u202e", "a\nb", new string('x', 1000), "en,de", "00000000-0000-0000-0000-000000000000",
    ];

    private readonly (string Method, string Path, JsonObject Operation)[] _operations =
    [
        .. document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject().Select(operation => (operation.Key, path.Key, operation.Value!.AsObject()))),
    ];

    public GeneratedRequest Next()
    {
        (string method, string path, JsonObject operation) = _operations[random.Next(_operations.Length)];
        bool broken = random.Next(2) == 0;
        var text = new StringBuilder();
        var query = new List<string>();
        var headers = new List<(string Name, string Value)>();
        string address = path;
        foreach (JsonNode? parameter in operation["parameters"]?.AsArray() ?? [])
        {
            string name = (string)parameter!["name"]!, place = (string)parameter["in"]!;
            string value = broken && random.Next(3) == 0 ? Odd() : Plain(Value(parameter["schema"]!, name, 0));
            switch (place)
            {
                case "path":
                    // An empty segment, or one of dots, is another address; NUL in one is refused by the server before it is any.
                    address = address.Replace($"{{{name}}}", Uri.EscapeDataString(value.Trim('.', ' ', '\0') is "" || value == "%00" ? "x" : value), StringComparison.Ordinal);
                    break;
                case "query" when random.Next(3) == 0:
                    query.Add($"{name}={Uri.EscapeDataString(value)}");
                    break;
                case "header" when random.Next(3) > 0 && value.All(c => c is >= ' ' and < '\x7f'):
                    headers.Add((name, value));
                    break;
            }
        }
        if (broken && random.Next(6) == 0)
        {
            query.Add($"{Uri.EscapeDataString(Odd())}={Uri.EscapeDataString(Odd())}");
        }
        address += query.Count > 0 ? "?" + string.Join('&', query) : "";
        var message = new HttpRequestMessage(new HttpMethod(method.ToUpperInvariant()), address);
        text.Append(CultureInfo.InvariantCulture, $"{message.Method} {address}");
        foreach ((string name, string value) in headers)
        {
            message.Headers.TryAddWithoutValidation(name, value);
            text.Append(CultureInfo.InvariantCulture, $" {name}: {value}");
        }
        if (operation["requestBody"]?["content"] is JsonObject content)
        {
            (string type, JsonNode? way) = content.ElementAt(random.Next(content.Count));
            message.Content = Body(type, Resolve(way!["schema"]!), broken, text);
        }
        return new GeneratedRequest($"{method} {path}", ((string)operation["tags"]![0]!).StartsWith(CompatibleApi.Tag, StringComparison.Ordinal), operation["responses"]!.AsObject(), message, text.ToString());
    }

    private HttpContent? Body(string type, JsonNode schema, bool broken, StringBuilder text)
    {
        if (broken && random.Next(8) == 0)
        {
            text.Append(" without a body");
            return null;
        }
        HttpContent body;
        if (type.StartsWith("multipart/", StringComparison.Ordinal))
        {
            var form = new MultipartFormDataContent();
            foreach ((string name, JsonNode? member) in schema["properties"]!.AsObject().Where(_ => random.Next(2) == 0))
            {
                JsonNode its = Resolve(member!);
                bool file = (string?)(its["items"]?["format"] ?? its["format"]) == "binary";
                string field = broken && random.Next(8) == 0 ? name + "s" : name;
                text.Append(CultureInfo.InvariantCulture, $" {field}={(file ? "file" : "text")}");
                if (file)
                {
                    form.Add(new ByteArrayContent(Bytes(broken)), field, random.Next(4) == 0 ? Encoding.ASCII.GetString([0x61, 0x2f, 0x2e]) : "photo.jpg");
                }
                else
                {
                    form.Add(new StringContent(broken && random.Next(2) == 0 ? Odd() : Plain(Value(its, name, 0))), field);
                }
            }
            body = form;
        }
        else if (type.Contains("json", StringComparison.OrdinalIgnoreCase))
        {
            JsonNode? value = Value(schema, "", 0);
            string json = value?.ToJsonString() ?? "null";
            json = !broken ? json : random.Next(6) switch
            {
                0 => json[..random.Next(json.Length)],
                1 => json.Insert(random.Next(json.Length), Odd()),
                2 => new string('[', 200),
                3 => Misspelt(value).ToJsonString(),
                4 => Wrong(value).ToJsonString(),
                _ => Odd(),
            };
            text.Append(' ').Append(json.Length > 300 ? json[..300] : json);
            body = new ByteArrayContent(Encoding.UTF8.GetBytes(json)) { Headers = { ContentType = MediaTypeHeaderValue.Parse("application/json") } };
        }
        else
        {
            body = new ByteArrayContent(Bytes(broken));
        }
        if (body.Headers.ContentType is null)
        {
            body.Headers.TryAddWithoutValidation("Content-Type", type);
        }
        if (broken && random.Next(6) == 0)
        {
            string[] others = ["text/plain", "application/xml", "application/json; charset=latin1", "multipart/form-data", "multipart/form-data; boundary=x", "image/heic", "nothing"];
            string other = others[random.Next(others.Length)];
            body.Headers.Remove("Content-Type");
            body.Headers.TryAddWithoutValidation("Content-Type", other);
            text.Append(" as ").Append(other);
        }
        if (broken && random.Next(12) == 0)
        {
            string coding = random.Next(2) == 0 ? "gzip" : random.Next(2) == 0 ? "zstd" : "compress";
            body.Headers.Add("Content-Encoding", coding);
            text.Append(" in ").Append(coding);
        }
        return body;
    }

    private JsonNode? Value(JsonNode described, string name, int depth)
    {
        JsonNode schema = Resolve(described);
        if (known.TryGetValue(name, out string[]? values) && random.Next(2) == 0)
        {
            string value = values[random.Next(values.Length)];
            return (string?)schema["type"] == "array" ? new JsonArray(value) : value;
        }
        if (schema["enum"] is JsonArray choices)
        {
            return choices[random.Next(choices.Count)]?.DeepClone();
        }
        if ((schema["oneOf"] ?? schema["anyOf"] ?? schema["allOf"]) is JsonArray ways)
        {
            return Value(ways[random.Next(ways.Count)]!, name, depth + 1);
        }
        return (string?)schema["type"] switch
        {
            "integer" => Number(schema, 1, whole: true),
            "number" => Number(schema, 1, whole: false),
            "boolean" => random.Next(2) == 0,
            "array" => new JsonArray([.. Enumerable.Range(0, depth > 4 ? 0 : random.Next(3)).Select(_ => Value(schema["items"]!, name, depth + 1))]),
            "object" or null when schema["properties"] is JsonObject members => new JsonObject(members
                .Where(member => depth < 5 && (random.Next(2) == 0 || schema["required"]?.AsArray().Any(required => (string?)required == member.Key) == true))
                .Select(member => KeyValuePair.Create(member.Key, Value(member.Value!, member.Key, depth + 1)))),
            "object" => new JsonObject(),
            _ => (string?)schema["format"] switch
            {
                "byte" => Convert.ToBase64String(photo),
                "uri" => "https://example.org/photo.jpg",
                "date-time" => "2026-01-02T03:04:05Z",
                _ => random.Next(4) == 0 ? Odd() : "abc",
            },
        };
    }

    private JsonNode Number(JsonNode schema, double otherwise, bool whole)
    {
        double least = (double?)schema["minimum"] ?? -otherwise, most = (double?)schema["maximum"] ?? least + 20;
        double value = random.Next(6) switch { 0 => least, 1 => most, 2 => least - 1, 3 => most + 1, _ => least + random.NextDouble() * (Math.Min(most, least + 20) - least) };
        return whole ? (JsonNode)(long)Math.Clamp(value, -1e18, 1e18) : value;
    }

    private JsonNode Resolve(JsonNode schema)
    {
        while ((string?)schema["$ref"] is { } reference)
        {
            schema = document["components"]!["schemas"]![reference[(reference.LastIndexOf('/') + 1)..]]!;
        }
        return schema;
    }

    private byte[] Bytes(bool broken)
    {
        if (!broken)
        {
            return photo;
        }
        byte[] bytes = random.Next(3) switch { 0 => [], 1 => photo[..random.Next(photo.Length)], _ => new byte[random.Next(2000)] };
        if (bytes.Length > 0 && random.Next(2) == 0)
        {
            random.NextBytes(bytes.AsSpan(random.Next(bytes.Length)));
        }
        return bytes;
    }

    private JsonObject Misspelt(JsonNode? value)
    {
        var members = new JsonObject();
        foreach ((string name, JsonNode? member) in value as JsonObject ?? [])
        {
            members[random.Next(2) == 0 ? name + "x" : name.ToUpperInvariant()] = member?.DeepClone();
        }
        return members;
    }

    private JsonObject Wrong(JsonNode? value)
    {
        var members = new JsonObject();
        foreach ((string name, JsonNode? member) in value as JsonObject ?? [])
        {
            members[name] = random.Next(3) switch { 0 => new JsonArray(1, "a", null), 1 => new JsonObject { ["a"] = Odd() }, 2 when random.Next(2) == 0 => null, _ => member?.DeepClone() };
        }
        return members;
    }

    private string Odd() => s_odd[random.Next(s_odd.Length)];

    private static string Plain(JsonNode? value) => value switch { JsonArray many => string.Join(',', many.Select(Plain)), null => "", JsonValue => value.ToString(), _ => value.ToJsonString() };
}
