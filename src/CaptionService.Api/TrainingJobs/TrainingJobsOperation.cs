using System.Text.Json;
using System.Text.Json.Nodes;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Jobs;
using Microsoft.OpenApi;

namespace CaptionService.Api.TrainingJobs;

/// <summary>What a job may ask for, described from the table it is checked with; and the stream of its events.</summary>
internal static class TrainingJobsOperation
{
    private const string Example = """
        { "dataset": "k3v7q2m5x4ab", "preset": "quick", "name": "garden-en", "budget": { "minutes": 30 }, "activateIfBetter": true }
        """;

    public static void DescribeCreation(OpenApiOperation operation)
    {
        operation.Header("Idempotency-Key",
            "1 to 255 characters that the caller chooses for one job: the same key with the same body finds the same job, with another body it is refused (422); 409 while the first request is under way.",
            new OpenApiSchema { Type = JsonSchemaType.String, MinLength = 1, MaxLength = 255 });
        operation.RequestBody = new OpenApiRequestBody
        {
            Required = true,
            Content = new Dictionary<string, IOpenApiMediaType> { ["application/json"] = new OpenApiMediaType { Schema = Request(), Example = JsonNode.Parse(Example) } },
        };
        operation.Location("202", "Where to watch the job.");
    }

    public static void DescribeEvents(OpenApiOperation operation)
    {
        operation.LastEventId("In a stream: number of the last event that the listener has.");
        if (operation.Answer("200") is { Content: { } content })
            content[ServerSentEvents.MediaType] = new OpenApiMediaType { Schema = new OpenApiSchema { Type = JsonSchemaType.String, Description = "`id:` number, `event:` type, `data:` the event as in JSON; `event: job` with the job, without an id." } };
    }

    private static OpenApiSchema Request() => Object("TrainingJobRequest", null,
        ("dataset", RouteTexts.Text("Id of the data set, one of `GET /datasets`. Either this or `datasets` must be given.")),
        ("datasets", new OpenApiSchema
        {
            Type = JsonSchemaType.Array,
            MinItems = 1,
            MaxItems = JobDataset.Most,
            Description = "Several data sets of one language to train on together, in place of `dataset`; each once, and at least one of them `human`.",
            Items = Object("TrainingDataset", "id",
                ("id", RouteTexts.Text("Id of the data set, one of `GET /datasets`.")),
                ("weight", new OpenApiSchema
                {
                    Type = JsonSchemaType.Number, Format = "double", Default = 1.0, Minimum = FormattableString.Invariant($"{DataSource.LeastWeight}"), Maximum = FormattableString.Invariant($"{DataSource.MostWeight}"),
                    Description = "How often each of its photos is drawn in an epoch: 0.5 is a random half of them, 2 each twice.",
                }),
                ("trust", new OpenApiSchema
                {
                    Type = JsonSchemaType.String, Enum = [DataSource.Human, DataSource.ModelWritten], Default = DataSource.Human,
                    Description = "Who wrote the captions. What a model wrote is learnt from only in the first half of the cross-entropy epochs, and never judged by.",
                })),
        }),
        ("preset", new OpenApiSchema
        {
            Type = JsonSchemaType.String,
            Enum = [.. TrainingPreset.All.Select(p => (JsonNode)p.Name)],
            Default = TrainingPreset.Quick.Name,
            Description = string.Join(' ', TrainingPreset.All.Select(p => $"`{p.Name}`: {p.Description}")) + " See `GET /training-presets`.",
        }),
        ("baseModel", RouteTexts.Text("Model to start from, name or name@version: its words and network are kept. Default: with `quick` the one in service for the data set's language, else none.")),
        ("name", new OpenApiSchema { Type = JsonSchemaType.String, Pattern = "^[a-z0-9][a-z0-9._-]{0,63}$", Description = "Name of the model to be made; one that exists gets a next version. Default: the base model's, else from the data set's." }),
        ("seed", new OpenApiSchema { Type = JsonSchemaType.Integer, Format = "int32", Minimum = "0", Description = "Seed of all that is random." }),
        ("budget", Object("TrainingBudget", null,
            ("minutes", new OpenApiSchema
            {
                Type = JsonSchemaType.Number, Format = "double", Minimum = FormattableString.Invariant($"{TrainingBudget.LeastMinutes}"), Maximum = FormattableString.Invariant($"{TrainingBudget.MostMinutes}"),
                Description = "Minutes of training and validation, the encoding of the photos not counted; then the best model so far is the result.",
            }),
            ("epochs", Option("epochs", null)))),
        ("options", Object("TrainingOptions", null, [.. TrainingOption.All.Select(o => (o.Name, Option(o.Name, TrainingPreset.Best)))])),
        ("activateIfBetter", new OpenApiSchema { Type = JsonSchemaType.Boolean, Default = false, Description = "Whether the model goes into service when it is better than the active one, beyond chance, on the dev photos of the data set; of several `human` ones, better on at least one and worse on none." }));

    // No defaults as such: a client would send them all, and they depend on the preset.
    private static OpenApiSchema Option(string name, TrainingPreset? shown)
    {
        TrainingOption option = TrainingOption.All.First(o => o.Name == name);
        var schema = new OpenApiSchema
        {
            Type = option.Type switch { "integer" => JsonSchemaType.Integer, "number" => JsonSchemaType.Number, "boolean" => JsonSchemaType.Boolean, _ => JsonSchemaType.String },
            Format = option.Type switch { "integer" => "int32", "number" => "double", _ => null },
            Minimum = option.Minimum is { } minimum ? FormattableString.Invariant($"{(decimal)minimum}") : null,
            Maximum = option.Maximum is { } maximum ? FormattableString.Invariant($"{(decimal)maximum}") : null,
            Description = $"{option.Description} Range: {option.Range}.{(option.Unit is null ? "" : $" Unit: {option.Unit}.")}",
        };
        if (option.Values is { } values)
            schema.Enum = [.. values.Select(v => (JsonNode)v)];
        if (shown is not null)
        {
            JsonElement value = JsonSerializer.SerializeToElement(shown.Options, Json.Requests).GetProperty(name);
            schema.Description += $" Default with `{shown.Name}`: {value.GetRawText().Trim('"')}.";
        }
        return schema;
    }

    // The title names the class in generated clients. Null is as good as absent, since not every client can leave a member out.
    private static OpenApiSchema Object(string title, string? required, params (string Name, OpenApiSchema Schema)[] members)
    {
        foreach ((string name, OpenApiSchema schema) in members)
            schema.Type |= name == required || schema.Default is not null ? 0 : JsonSchemaType.Null;
        return new OpenApiSchema
        {
            Title = title,
            Type = JsonSchemaType.Object,
            AdditionalPropertiesAllowed = false,
            Properties = members.ToDictionary(m => m.Name, m => (IOpenApiSchema)m.Schema),
            Required = required is null ? null : new HashSet<string> { required },
        };
    }
}
