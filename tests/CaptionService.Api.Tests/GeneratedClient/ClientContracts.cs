using System.Text.Json.Nodes;
using NJsonSchema.CodeGeneration.CSharp;
using NSwag;
using NSwag.CodeGeneration;
using NSwag.CodeGeneration.CSharp;

namespace CaptionService.Api.Tests.GeneratedClient;

/// <summary>The types of src/CaptionService.Client, generated from the OpenAPI document.</summary>
internal static class ClientContracts
{
    /// <summary>What the client covers.</summary>
    public static readonly string[] Tags = ["Captions", "Data sets", "Training", "Models", "Caption jobs", "Feedback"];

    /// <summary>Where they stand.</summary>
    public const string File = "src/CaptionService.Client/Contracts.g.cs";

    /// <summary>Operations of a document that the client covers.</summary>
    public static IEnumerable<OpenApiOperationDescription> Covered(OpenApiDocument document) =>
        document.Operations.Where(operation => Tags.Contains(operation.Operation.Tags[0]));

    /// <summary>The file as it should be.</summary>
    public static async Task<string> Generate(JsonNode document)
    {
        JsonObject paths = document["paths"]!.AsObject();
        foreach ((string path, JsonNode? operations) in paths.ToArray())
        {
            foreach ((string method, JsonNode? operation) in operations!.AsObject().ToArray())
            {
                if (!Tags.Contains((string?)operation!["tags"]![0]))
                {
                    operations.AsObject().Remove(method);
                }
            }
            if (operations.AsObject().Count == 0)
            {
                paths.Remove(path);
            }
        }
        JsonObject schemas = document["components"]!["schemas"]!.AsObject();
        // Types that stand inside others become types by their titles, so that none is called after the member that has it.
        Lift(paths, schemas);
        // An enumeration of today would break the clients of yesterday.
        Open(document);
        var used = new HashSet<string>(StringComparer.Ordinal);
        Follow(paths, schemas, used);
        foreach (string unused in schemas.Select(schema => schema.Key).Where(name => !used.Contains(name)).ToArray())
        {
            schemas.Remove(unused);
        }

        var settings = new CSharpClientGeneratorSettings { GenerateClientClasses = false, GenerateClientInterfaces = false, GenerateExceptionClasses = false, GenerateDtoTypes = true };
        CSharpGeneratorSettings code = settings.CSharpGeneratorSettings;
        code.Namespace = "CaptionService.Client";
        code.JsonLibrary = CSharpJsonLibrary.SystemTextJson;
        code.GenerateNullableReferenceTypes = true;
        code.GenerateOptionalPropertiesAsNullable = true;
        code.GenerateDataAnnotations = false;
        code.ArrayType = code.ArrayBaseType = "System.Collections.Generic.IReadOnlyList";
        code.DictionaryType = code.DictionaryBaseType = "System.Collections.Generic.IReadOnlyDictionary";
        code.ArrayInstanceType = "System.Collections.Generic.List";
        code.DictionaryInstanceType = "System.Collections.Generic.Dictionary";
        string generated = new CSharpClientGenerator(await OpenApiDocument.FromJsonAsync(document.ToJsonString()), settings)
            .GenerateFile(ClientGeneratorOutputType.Contracts);
        // What NSwag's own clients need beside the types goes.
        int types = generated.IndexOf("    [System.CodeDom.Compiler.GeneratedCode(\"NSwag\"", StringComparison.Ordinal);
        return (types < 0 ? generated : generated[..types].TrimEnd() + "\n}").ReplaceLineEndings("\n").TrimEnd() + "\n";
    }

    private static void Lift(JsonNode? node, JsonObject schemas)
    {
        switch (node)
        {
            case JsonArray array:
                foreach (JsonNode? item in array)
                {
                    Lift(item, schemas);
                }
                break;
            case JsonObject one:
                foreach ((string name, JsonNode? member) in one.ToArray())
                {
                    Lift(member, schemas);
                    if (member is JsonObject schema && schema["title"] is JsonValue title && schema["properties"] is not null)
                    {
                        one.Remove(name);
                        schema.Remove("title");
                        bool nullable = schema["type"] is JsonArray || (bool?)schema["nullable"] == true;
                        schema["type"] = "object";
                        schema.Remove("nullable");
                        schemas[(string)title!] = schema;
                        one[name] = nullable
                            ? new JsonObject { ["allOf"] = new JsonArray(Reference((string)title!)), ["nullable"] = true }
                            : Reference((string)title!);
                    }
                }
                break;
        }

        static JsonObject Reference(string title) => new() { ["$ref"] = $"#/components/schemas/{title}" };
    }

    private static void Open(JsonNode? node)
    {
        switch (node)
        {
            case JsonArray array:
                foreach (JsonNode? item in array)
                {
                    Open(item);
                }
                break;
            case JsonObject one:
                if (one["enum"] is JsonArray && one["type"] is not null)
                {
                    one.Remove("enum");
                    one.Remove("default");
                }
                foreach ((_, JsonNode? member) in one)
                {
                    Open(member);
                }
                break;
        }
    }

    private static void Follow(JsonNode? node, JsonObject schemas, HashSet<string> used)
    {
        switch (node)
        {
            case JsonArray array:
                foreach (JsonNode? item in array)
                {
                    Follow(item, schemas, used);
                }
                break;
            case JsonObject one:
                foreach ((string name, JsonNode? member) in one)
                {
                    if (name == "$ref" && ((string)member!).Split('/')[^1] is var schema)
                    {
                        if (used.Add(schema))
                        {
                            Follow(schemas[schema], schemas, used);
                        }
                    }
                    else
                    {
                        Follow(member, schemas, used);
                    }
                }
                break;
        }
    }
}
