using System.Text.Json.Nodes;
using CaptionService.Api.Fetch;
using CaptionService.Captioning;
using Microsoft.Net.Http.Headers;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace CaptionService.Api.Captions;

/// <summary>The three ways into <c>POST /captions</c>, described from the table the request is read with.</summary>
internal static class CaptionsOperation
{
    private const string IncludedType = "CaptionInclude";

    private const string AnswerExample = """
        {
          "models": [
            { "language": "en", "name": "everyday-en", "version": 1, "digest": "5f1c…" },
            { "language": "de", "name": "everyday-de", "version": 1, "digest": "0b7e…" }
          ],
          "results": [
            {
              "name": "dog.jpg",
              "width": 1024,
              "height": 768,
              "captions": [
                { "rank": 1, "language": "en", "text": "A brown dog runs through the grass.", "logProbability": -6.42, "confidence": 0.47 },
                { "rank": 2, "language": "en", "text": "A dog is running in a field.", "logProbability": -7.03, "confidence": 0.41 },
                { "rank": 1, "language": "de", "text": "Ein brauner Hund rennt über eine Wiese.", "logProbability": -6.81, "confidence": 0.45 },
                { "rank": 2, "language": "de", "text": "Ein Hund läuft durch das Gras.", "logProbability": -7.25, "confidence": 0.38 }
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

    public static void Describe(OpenApiOperation operation, OperationFilterContext context)
    {
        operation.NameProblems();
        operation.Parameters = [.. OptionParameters(context),
        new OpenApiParameter
        {
            Name = "url",
            In = ParameterLocation.Query,
            Description = "A photo's public http or https address, where the operator allows it; given several times for several photos. Then no body is needed. Default: the photos of the body alone.",
            Schema = new OpenApiSchema { Type = JsonSchemaType.Array, Items = new OpenApiSchema { Type = JsonSchemaType.String, Format = "uri" } },
        },
        new OpenApiParameter
        {
            Name = HeaderNames.AcceptLanguage,
            In = ParameterLocation.Header,
            Description = "Where neither `language` nor `model` is given: the best of these that a model writes, by quality, as in `de-AT, de;q=0.9, en;q=0.5`; nothing of them there: the default language. Default: the default language.",
            Schema = new OpenApiSchema { Type = JsonSchemaType.String },
        }];
        OpenApiMediaType bytes = new() { Schema = Binary("The photo's bytes.") };
        operation.RequestBody = new OpenApiRequestBody
        {
            Description = "A form with photos as files, one photo's bytes of whatever declared type, or JSON. Options in the body count where the query gives the same one.",
            Content = new Dictionary<string, IOpenApiMediaType>
            {
                ["multipart/form-data"] = new OpenApiMediaType { Schema = Form() },
                [OpenApi.JsonBesideForm] = new OpenApiMediaType { Schema = Json(context), Example = JsonNode.Parse(JsonExample) },
                ["image/jpeg"] = bytes,
                ["image/png"] = bytes,
                ["image/webp"] = bytes,
                ["image/gif"] = bytes,
                ["application/octet-stream"] = bytes,
            },
        };
        if (operation.Answer("200") is { } answer)
        {
            answer.Description = "Captions, or a problem, for each photo.";
            answer.Headers = new Dictionary<string, IOpenApiHeader>
            {
                [HeaderNames.ContentLanguage] = new OpenApiHeader { Description = "Languages of the captions, in the order of `models`, separated by commas.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } },
                [HeaderNames.Vary] = new OpenApiHeader { Description = "`Accept-Language`.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } },
                [CaptionCache.Header] = new OpenApiHeader { Description = "With `Captioning:CacheMegabytes`: whether all photos were answered from memory (`hit`), some (`detail=partial`) or none (`fwd=miss`). RFC 9211.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } },
                ["Server-Timing"] = new OpenApiHeader { Description = "`queue`, `encode` and `decode` in milliseconds.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } },
            };
            if (answer.Content?.TryGetValue("application/json", out IOpenApiMediaType? json) == true && json is OpenApiMediaType content)
                content.Example = JsonNode.Parse(AnswerExample);
        }
    }

    /// <summary>The options as parameters of the query.</summary>
    public static IEnumerable<OpenApiParameter> OptionParameters(OperationFilterContext context) => OptionSchemas(context).Select(option => new OpenApiParameter
    {
        Name = option.Key,
        In = ParameterLocation.Query,
        Description = option.Value.Description,
        Schema = option.Value,
        Explode = false,    // include=words,attention
    });

    /// <summary>The options, by name.</summary>
    public static Dictionary<string, OpenApiSchema> OptionSchemas(OperationFilterContext context)
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
        options[RequestedOptions.LanguageName] = new OpenApiSchema
        {
            Type = JsonSchemaType.Array,
            Items = new OpenApiSchema { Type = JsonSchemaType.String },
            Description = "Languages of the captions: BCP 47 tags, separated by commas (`en,de`) or given several times; `de-AT` finds `de`. Their active models answer, from one pass of the encoder. "
                + "Default: what `Accept-Language` prefers.",
        };
        options[RequestedOptions.ModelName] = new OpenApiSchema
        {
            Type = JsonSchemaType.String,
            Description = "Which of `GET /models` answers: `name` (its active version, else its newest) or `name@version`; with `language`, of that language. Default: the active model of the language.",
        };
        options[RequestedOptions.StyleName] = new OpenApiSchema
        {
            Type = JsonSchemaType.String,
            Enum = [RequestedOptions.SentenceStyle, RequestedOptions.RawStyle],
            Default = RequestedOptions.SentenceStyle,
            Description = "`sentence`: with a capital and a full stop; `raw`: the words, joined as the language writes them. Default: sentence.",
        };
        options[RequestedOptions.IncludeName] = new OpenApiSchema
        {
            Type = JsonSchemaType.Array,
            Items = Included(context),
            Description = "What else each caption carries, separated by commas: `words` with their probabilities, `attention` (14×14 weights for each word; brings the words with it). Default: nothing.",
        };
        options[RequestedOptions.PurposeName] = new OpenApiSchema
        {
            Type = JsonSchemaType.String,
            Enum = [RequestedOptions.CaptionPurpose, RequestedOptions.AltPurpose],
            Default = RequestedOptions.CaptionPurpose,
            Description = "`alt`: text that may stand in an `alt` attribute. One whole sentence of at most 125 characters, gender-neutral, without \"a photo of\" or \"there is\"; "
                + "empty, with `reason`, where the confidence is below the operator's threshold. Default: caption.",
        };
        options[RequestedOptions.GenderNeutralName] = new OpenApiSchema
        {
            Type = JsonSchemaType.Boolean,
            Description = "Whether no word states a person's sex: the model says it in other words. In English, German and Chinese. Default: false; true with `purpose=alt`.",
        };
        options[RequestedOptions.MaxCharactersName] = new OpenApiSchema
        {
            Type = JsonSchemaType.String,
            Pattern = $"^([0-9]+|{string.Join('|', RequestedOptions.CharacterPresets.Keys)})$",
            Description = $"Most characters of each text, its full stop included; the search ends in time with a whole sentence, nothing is cut. {CaptionOptions.MinMaxCharacters} to {RequestedOptions.MostCharacters}, or "
                + string.Join(", ", RequestedOptions.CharacterPresets.Select(preset => $"`{preset.Key}` ({preset.Value})")) + ". Default: no limit; 125 with `purpose=alt`.",
        };
        return options;
    }

    // One type in generated clients, whichever operation names it.
    private static OpenApiSchemaReference Included(OperationFilterContext context) => context.SchemaRepository.Schemas.ContainsKey(IncludedType)
        ? new OpenApiSchemaReference(IncludedType, context.Document)
        : context.SchemaRepository.AddDefinition(IncludedType, new OpenApiSchema { Type = JsonSchemaType.String, Enum = [RequestedOptions.WordsItem, RequestedOptions.AttentionItem], Description = "What else a caption carries." });

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

    private static OpenApiSchema Json(OperationFilterContext context)
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
                    Properties = new Dictionary<string, IOpenApiSchema>
                    {
                        ["name"] = new OpenApiSchema { Type = JsonSchemaType.String, Description = "Comes back in the result." },
                        ["data"] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "byte", Description = "The photo in base64, or as a data: URL in base64." },
                        ["url"] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "uri", MaxLength = FetchOptions.MaxUrlLength, Description = "Instead of `data`, where the operator allows it: the photo's public http or https address." },
                    },
                },
            },
        };
        foreach ((string name, OpenApiSchema option) in OptionSchemas(context))
            properties[name] = option;
        return new OpenApiSchema { Type = JsonSchemaType.Object, Required = new HashSet<string> { "images" }, Properties = properties, AdditionalPropertiesAllowed = false };
    }

    private static OpenApiSchema Binary(string? description) => new() { Type = JsonSchemaType.String, Format = "binary", Description = description };
}
