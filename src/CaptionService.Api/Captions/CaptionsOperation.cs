using System.Text.Json.Nodes;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace CaptionService.Api.Captions;

/// <summary>The three ways into <c>POST /captions</c>, described from the table the request is read with.</summary>
internal sealed class CaptionsOperation : IOperationFilter
{
    private const string AnswerExample = """
        {
          "model": { "name": "flickr8k-en", "version": 1, "digest": "5f1c…" },
          "results": [
            {
              "name": "dog.jpg",
              "width": 1024,
              "height": 768,
              "captions": [
                { "rank": 1, "text": "A brown dog runs through the grass.", "logProbability": -6.42, "confidence": 0.47 },
                { "rank": 2, "text": "A dog is running in a field.", "logProbability": -7.03, "confidence": 0.41 }
              ]
            }
          ],
          "timings": { "queueMs": 0.12, "encodeMs": 83.4, "decodeMs": 31.7 }
        }
        """;

    // A grey 1×1 PNG, so that "Execute" works as it stands.
    private const string JsonExample = """
        {
          "images": [
            { "name": "pixel.png", "data": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC" }
          ]
        }
        """;

    public void Apply(OpenApiOperation operation, OperationFilterContext context)
    {
        if (operation.OperationId != CaptionsApi.OperationName)
        {
            return;
        }
        operation.Parameters = [.. OptionSchemas().Select(option => new OpenApiParameter
        {
            Name = option.Key,
            In = ParameterLocation.Query,
            Description = option.Value.Description,
            Schema = option.Value,
            Explode = false,    // include=words,attention
        })];
        OpenApiMediaType bytes = new() { Schema = Binary("The photo's bytes.") };
        operation.RequestBody = new OpenApiRequestBody
        {
            Required = true,
            Description = "A form with photos as files, one photo's bytes of whatever declared type, or JSON. Options in the body count where the query gives the same one.",
            Content = new Dictionary<string, IOpenApiMediaType>
            {
                ["multipart/form-data"] = new OpenApiMediaType { Schema = Form() },
                ["application/json"] = new OpenApiMediaType { Schema = Json(), Example = JsonNode.Parse(JsonExample) },
                ["image/jpeg"] = bytes,
                ["image/png"] = bytes,
                ["image/webp"] = bytes,
                ["image/gif"] = bytes,
                ["application/octet-stream"] = bytes,
            },
        };
        if (operation.Responses?.TryGetValue("200", out IOpenApiResponse? ok) == true && ok is OpenApiResponse answer)
        {
            answer.Description = "Captions, or a problem, for each photo.";
            answer.Headers = new Dictionary<string, IOpenApiHeader>
            {
                ["Server-Timing"] = new OpenApiHeader { Description = "`queue`, `encode` and `decode` in milliseconds.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } },
            };
            if (answer.Content?.TryGetValue("application/json", out IOpenApiMediaType? json) == true && json is OpenApiMediaType content)
            {
                content.Example = JsonNode.Parse(AnswerExample);
            }
        }
    }

    private static Dictionary<string, OpenApiSchema> OptionSchemas()
    {
        var options = NumberOption.All.ToDictionary(option => option.Name, option => new OpenApiSchema
        {
            Type = option.Integer ? JsonSchemaType.Integer : JsonSchemaType.Number,
            Format = option.Integer ? "int32" : "double",
            Minimum = FormattableString.Invariant($"{option.Minimum}"),
            Maximum = FormattableString.Invariant($"{option.Maximum}"),
            Default = option.Default is not { } value ? null : option.Integer ? JsonValue.Create((int)value) : JsonValue.Create(value),
            Description = option.Description + FormattableString.Invariant($" Range: {option.Minimum} to {option.Maximum}.")
                + (option.Default is { } described ? FormattableString.Invariant($" Default: {described}.") : ""),
        });
        options[RequestedOptions.ModelName] = new OpenApiSchema
        {
            Type = JsonSchemaType.String,
            Description = "Which of `GET /models` answers: `name` (its active version, else its newest) or `name@version`. Default: the active model.",
        };
        options[RequestedOptions.IncludeName] = new OpenApiSchema
        {
            Type = JsonSchemaType.Array,
            Items = new OpenApiSchema { Type = JsonSchemaType.String, Enum = [RequestedOptions.WordsItem, RequestedOptions.AttentionItem] },
            Description = "What else each caption carries, separated by commas: `words` with their probabilities, `attention` (14×14 weights for each word; brings the words with it). Default: nothing.",
        };
        return options;
    }

    // Option fields are left out of the form on purpose: the page would send each one's default beside the query's value.
    private static OpenApiSchema Form() => new()
    {
        Type = JsonSchemaType.Object,
        Required = new HashSet<string> { "photo" },
        Properties = new Dictionary<string, IOpenApiSchema>
        {
            ["photo"] = new OpenApiSchema
            {
                Type = JsonSchemaType.Array,
                MinItems = 1,
                MaxItems = CaptioningOptions.MaxPhotos,
                Items = Binary(null),
                Description = "1 to 16 files. Any field name will do; fields without a file are options, named as in the query.",
            },
        },
    };

    private static OpenApiSchema Json()
    {
        var properties = new Dictionary<string, IOpenApiSchema>
        {
            ["images"] = new OpenApiSchema
            {
                Type = JsonSchemaType.Array,
                MinItems = 1,
                MaxItems = CaptioningOptions.MaxPhotos,
                Items = new OpenApiSchema
                {
                    Type = JsonSchemaType.Object,
                    Required = new HashSet<string> { "data" },
                    Properties = new Dictionary<string, IOpenApiSchema>
                    {
                        ["name"] = new OpenApiSchema { Type = JsonSchemaType.String, Description = "Comes back in the result." },
                        ["data"] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "byte", Description = "The photo in base64, or as a data: URL in base64." },
                    },
                },
            },
        };
        foreach ((string name, OpenApiSchema option) in OptionSchemas())
        {
            properties[name] = option;
        }
        return new OpenApiSchema { Type = JsonSchemaType.Object, Required = new HashSet<string> { "images" }, Properties = properties, AdditionalPropertiesAllowed = false };
    }

    private static OpenApiSchema Binary(string? description) => new() { Type = JsonSchemaType.String, Format = "binary", Description = description };
}
