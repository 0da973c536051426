using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;
using Microsoft.OpenApi;

namespace CaptionService.Api.Models;

/// <summary>What captions the photos: versions, and which of them is in service.</summary>
public static class ModelsApi
{
    /// <summary>Registers the registry and what is loaded of it.</summary>
    public static IServiceCollection AddModels(this IServiceCollection services)
    {
        services.AddOptions<ModelsOptions>().BindConfiguration(ModelsOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<ActiveModels>();
        services.AddSingleton<ModelStore>();
        services.AddSingleton<ModelRegistry>();
        services.AddSingleton<RegistryNews>();
        services.AddSingleton<Replicas>();
        return services.AddHostedService(provider => provider.GetRequiredService<Replicas>());
    }

    /// <summary>Maps <c>/models</c>.</summary>
    public static void MapModels(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder models = routes.MapGroup("/models").WithTags("Models");

        models.MapGet("/", Ok<ModelsResponse> (ModelRegistry registry, Replicas replicas) => TypedResults.Ok(new ModelsResponse(
                [.. registry.All.GroupBy(model => model.Card.Name).Select(versions => ModelResponse.Of(versions, registry)).OrderByDescending(model => model.Default)], replicas.Known)))
            .Needs(Scope.Caption).WithName("GetModels").WithSummary("The models, the one that answers first")
            .WithDescription("Of each model the version that is active, or else the newest, and a list of all versions. Empty while the first model loads.");

        models.MapGet("/{name}", Ok<ModelResponse> (string name, ModelRegistry registry) =>
                TypedResults.Ok(ModelResponse.Of(registry.All.Where(model => model.Card.Name == registry.Find(name).Card.Name), registry)))
            .Needs(Scope.Caption).WithName("GetModel").WithSummary("One model: its versions, sizes, scores and calibration")
            .WithDescription("`calibration` says what the captions' `confidence` means, what it is made of and how far it can be trusted, by captions of photos it was not fitted to.")
            .Problems(404);

        models.MapPost("/", Upload)
            .Needs(Scope.Admin).WithName("PostModel").WithSummary("Adds a version from a zip of a bundle")
            .WithDescription($"The zip holds {BundleFiles.List(BundleFiles.All, file => $"`{file.Name}` ({file.Meaning})")}, as the trainer writes them and "
                + "`GET /models/{name}/versions/{version}/download` gives them. Every SHA-256 is checked and the model must caption before it is taken. The name is the bundle's, "
                + "the version the next of that name. It is not active until it is activated.")
            .Problems(400, 408, 413, 415, 422, 503, 507).Describe(DescribeUpload);

        models.MapPost("/{name}/versions/{version:int:min(1)}/activate", async Task<Ok<ModelVersionResponse>> (string name, int version, ModelRegistry registry, Replicas replicas, Readiness readiness, CancellationToken aborted) =>
            {
                readiness.ThrowIfNotReady();
                RegisteredModel active = await registry.Activate(name, version, aborted);
                return TypedResults.Ok(ModelVersionResponse.Of(active) with { NotYetAt = await replicas.Behind(aborted) });
            })
            .Needs(Scope.Admin).WithName("ActivateModel").WithSummary("Puts a version into service, without a gap")
            .WithDescription("The model is loaded and warmed up beside the one that answers, which takes a second or two; then requests that come take the new one, and those that came before "
                + "are answered by the old one. One version is active for each language. If it cannot be loaded, the old one stays and the problem says why. Survives a restart. "
                + "Where several servers share the registry, the answer comes when all of them serve it, or after half a minute: `notYetAt` names those that do not.")
            .Problems(404, 422, 503);

        models.MapPost("/{name}/rollback", async Task<Ok<ModelVersionResponse>> (string name, ModelRegistry registry, Replicas replicas, Readiness readiness, CancellationToken aborted) =>
            {
                readiness.ThrowIfNotReady();
                RegisteredModel active = await registry.Rollback(name, aborted);
                return TypedResults.Ok(ModelVersionResponse.Of(active) with { NotYetAt = await replicas.Behind(aborted) });
            })
            .Needs(Scope.Admin).WithName("RollbackModel").WithSummary("Puts back the version that was active before")
            .WithDescription("`name` is the active model's; what was active before it may have another name. Doing it again goes one further back.")
            .Problems(404, 409, 422, 503);

        models.MapGet("/{name}/versions/{version:int:min(1)}/download", Download)
            .Needs(Scope.Train).WithName("DownloadModel").WithSummary("The bundle of a version, as a zip")
            .Produces<Stream>(200, "application/zip").Problems(404);

        models.MapDelete("/{name}/versions/{version:int:min(1)}", async Task<NoContent> (string name, int version, ModelRegistry registry, CancellationToken aborted) =>
            {
                await registry.Delete(name, version, aborted);
                return TypedResults.NoContent();
            })
            .Needs(Scope.Admin).WithName("DeleteModel").WithSummary("Deletes a version that is not active")
            .WithDescription("Its number is not given again. The model that comes with the product cannot be deleted.")
            .Problems(404, 409, 503);
    }

    private static async Task<Created<ModelVersionResponse>> Upload(HttpRequest request, ModelRegistry registry, Readiness readiness, IOptions<ModelsOptions> options, IOptions<StorageOptions> storage, CancellationToken aborted)
    {
        readiness.ThrowIfNotReady();
        string folder = await ModelUpload.Read(request, storage.Value.Temporary, options.Value.MaxUploadBytes, aborted);
        try
        {
            RegisteredModel model = await registry.Register(folder, jobId: null, datasetId: null, aborted);
            return TypedResults.Created($"/models/{model.Card.Name}", ModelVersionResponse.Of(model));
        }
        finally
        {
            ModelStore.Remove(folder);       // nothing is left there where it was taken
        }
    }

    private static OpenApiSchema Binary => new() { Type = JsonSchemaType.String, Format = "binary" };

    // The body is read as a stream, so this says what it is.
    private static void DescribeUpload(OpenApiOperation operation)
    {
        operation.RequestBody = new OpenApiRequestBody
        {
            Required = true,
            Description = "The zip, as the body or as the file of a form.",
            Content = new Dictionary<string, IOpenApiMediaType>
            {
                ["application/zip"] = new OpenApiMediaType { Schema = Binary },
                ["multipart/form-data"] = new OpenApiMediaType
                {
                    Schema = new OpenApiSchema
                    {
                        Type = JsonSchemaType.Object,
                        Required = new HashSet<string> { "bundle" },
                        Properties = new Dictionary<string, IOpenApiSchema> { ["bundle"] = Binary },
                    },
                },
            },
        };
    }

    private static PushStreamHttpResult Download(string name, int version, ModelRegistry registry, HttpContext http, CancellationToken aborted)
    {
        // The end of each packed file is written without waiting; the rest is not.
        http.Features.GetRequiredFeature<IHttpBodyControlFeature>().AllowSynchronousIO = true;
        RegisteredModel model = registry.Find(name, version);
        string[] files = [BundleFiles.Card, .. model.Card.Files.Keys];
        FileStream[] open = [.. files.Select(file => File.OpenRead(Path.Combine(model.Folder, file)))];      // a version that is deleted meanwhile is still sent whole
        return TypedResults.Stream(Send, "application/zip", $"{name}-{version}.zip");

        async Task Send(Stream body)
        {
            try
            {
                await using ZipArchive zip = await ZipArchive.CreateAsync(body, ZipArchiveMode.Create, leaveOpen: true, entryNameEncoding: null, aborted);
                foreach ((string file, FileStream content) in files.Zip(open))
                {
                    await using Stream entry = await zip.CreateEntry(file, CompressionLevel.Fastest).OpenAsync(aborted);
                    await content.CopyToAsync(entry, aborted);
                }
            }
            finally
            {
                Array.ForEach(open, file => file.Dispose());
            }
        }
    }
}

/// <summary>Answer of <c>GET /models</c>.</summary>
/// <param name="Models">The models, the one that answers first; empty while it loads.</param>
/// <param name="Replicas">The servers that share this registry, this one among them, a few seconds ago; empty where the database is a file.</param>
public sealed record ModelsResponse(IReadOnlyList<ModelResponse> Models, IReadOnlyList<ReplicaResponse> Replicas);

/// <summary>One model: the version that <c>model=name</c> means, and all versions.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Default">Whether it answers when no model is asked for.</param>
/// <param name="Version">The version that is active, or else the newest.</param>
/// <param name="Digest">SHA-256 of its <c>model.json</c>, which names every file's own.</param>
/// <param name="Language">Language of the captions (BCP 47).</param>
/// <param name="Architecture">The decoder's network: <c>show-and-tell</c>, <c>show-attend-and-tell</c> or <c>top-down</c>.</param>
/// <param name="Attends">Whether it can tell where it looked (<c>include=attention</c>).</param>
/// <param name="EncoderPrecision">How its encoder runs here: <c>float32</c>, <c>bfloat16</c> or <c>int8</c>; null while the model is not in memory.</param>
/// <param name="VocabularySize">Words it knows, four special ones included.</param>
/// <param name="Scores">Scores on the development split: BLEU-1..4 and ROUGE-L in 0..1, CIDEr in 0..10.</param>
/// <param name="Training">How it was trained, as the trainer wrote it.</param>
/// <param name="Calibration">How its captions get their confidence; null when they have none.</param>
/// <param name="WhyNoConfidence">Why it has none; null when it has one.</param>
/// <param name="Versions">All versions, the oldest first.</param>
public sealed record ModelResponse(string Name, bool Default, int Version, string Digest, string Language, string Architecture, bool Attends, string? EncoderPrecision, int VocabularySize,
    IReadOnlyDictionary<string, double> Scores, IReadOnlyDictionary<string, JsonElement> Training, CalibrationResponse? Calibration, string? WhyNoConfidence,
    IReadOnlyList<ModelVersionResponse> Versions)
{
    internal static ModelResponse Of(IEnumerable<RegisteredModel> versions, ModelRegistry registry)
    {
        RegisteredModel[] all = [.. versions];
        RegisteredModel shown = all.FirstOrDefault(model => model.Active) ?? all[^1];
        ModelCard card = shown.Card;
        return new ModelResponse(card.Name, shown.Reference == registry.Default?.Reference, card.Version, card.Digest, card.Language, card.Decoder.Architecture,
            card.Decoder.Attends, registry.PrecisionOf(shown), card.Decoder.VocabularySize, card.Scores, card.Training, shown.Calibration, card.WhyNoConfidence, [.. all.Select(ModelVersionResponse.Of)]);
    }
}

/// <summary>How a model's captions get their confidence, and how far it can be trusted.</summary>
/// <param name="Definition">What the confidence is the probability of.</param>
/// <param name="Search">The search it was fitted at, with all hypotheses; other options shift it.</param>
/// <param name="Features">What it weighs.</param>
/// <param name="Fitted">What it was fitted to: the captions of the development split.</param>
/// <param name="Check">Fitted to one half of the development split, checked on the other.</param>
/// <param name="CrossCheck">A check over all photos of the development split: each half with what was fitted to the other.</param>
public sealed record CalibrationResponse(string Definition, CalibratedSearch Search, IReadOnlyList<WeightResponse> Features, FittedTo Fitted, CheckResponse Check, CheckResponse CrossCheck)
{
    internal static CalibrationResponse? Read(string folder, ModelCard card)
    {
        try
        {
            return ModelBundle.ReadCalibration(folder, card) is { } calibration
                ? new CalibrationResponse(calibration.Definition, calibration.Search,
                    [.. calibration.Features.Select(feature => new WeightResponse(feature.Name, ConfidenceFeature.All.Single(known => known.Name == feature.Name).Meaning, feature.Weight))],
                    calibration.Fitted, CheckResponse.Of(calibration.Check), CheckResponse.Of(calibration.CrossCheck))
                : null;
        }
        catch (Exception broken) when (broken is IOException or UnauthorizedAccessException or ModelBundleException)
        {
            return null;        // broken on the disk, which its activation will say
        }
    }
}

/// <summary>Something that the confidence weighs.</summary>
/// <param name="Name">Its name in <c>calibration.json</c>.</param>
/// <param name="Meaning">What it is.</param>
/// <param name="Weight">What one standard deviation more of it adds to the log-odds.</param>
public sealed record WeightResponse(string Name, string Meaning, double Weight);

/// <summary>Confidences against what was so.</summary>
/// <param name="Photos">Photos.</param>
/// <param name="Captions">The model's captions of them, of all ranks.</param>
/// <param name="Right">Share of those that is as close as the median human caption, 0..1.</param>
/// <param name="Ece">Expected calibration error over 15 bins of equal size, 0..1.</param>
/// <param name="EceInterval">Its 95 % interval, low and high (bootstrap by photo).</param>
/// <param name="PerfectEce">What perfectly calibrated confidences would show on as many captions: were all captions right independently, and were those of a photo right or wrong together.</param>
/// <param name="Brier">Mean squared error of the confidences.</param>
/// <param name="Auroc">Probability that a right caption has a higher confidence than a wrong one; 0.5 is chance.</param>
/// <param name="Bins">The bins: how many captions, their mean confidence, and the share of them that was right.</param>
/// <param name="RiskCoverage">For each confidence: the share of captions that have it or more, and how many of those are right.</param>
public sealed record CheckResponse(int Photos, int Captions, double Right, double Ece, double[] EceInterval, double[] PerfectEce, double Brier, double Auroc,
    IReadOnlyList<ReliabilityBin> Bins, IReadOnlyList<CoverageRow> RiskCoverage)
{
    internal static CheckResponse Of(CalibrationCheck check) => new(check.Photos, check.Captions, check.Right, check.Ece, [check.EceLow, check.EceHigh],
        [check.PerfectEce, check.PerfectEceTogether], check.Brier, check.Auroc, check.Bins, check.Coverage);
}

/// <summary>One version of a model.</summary>
/// <param name="Name">Name of the model.</param>
/// <param name="Version">1, 2, 3, … within the name.</param>
/// <param name="Digest">SHA-256 of its <c>model.json</c>, which names every file's own.</param>
/// <param name="Language">Language of the captions (BCP 47).</param>
/// <param name="Scores">Scores on the development split of what it was trained on: BLEU-1..4 and ROUGE-L in 0..1, CIDEr in 0..10.</param>
/// <param name="Job">The training job that made it; null when it was uploaded or came with the product.</param>
/// <param name="Dataset">The data set it was trained on; null when that is not one of this service's.</param>
/// <param name="Shipped">Whether it came with the product.</param>
/// <param name="CreatedAt">When it was registered (UTC).</param>
/// <param name="Active">Whether it answers for its language.</param>
/// <param name="ActivatedAt">When it last became active (UTC); null when never, or when it was rolled back.</param>
public sealed record ModelVersionResponse(string Name, int Version, string Digest, string Language, IReadOnlyDictionary<string, double> Scores,
    string? Job, string? Dataset, bool Shipped, DateTimeOffset CreatedAt, bool Active, DateTimeOffset? ActivatedAt)
{
    /// <summary>Servers that share this registry and do not serve an activation yet, with the reason where they gave one.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ReplicaResponse>? NotYetAt { get; init; }

    internal static ModelVersionResponse Of(RegisteredModel model) => new(model.Card.Name, model.Card.Version, model.Card.Digest, model.Card.Language, model.Card.Scores,
        model.JobId, model.DatasetId, model.Shipped, model.CreatedAt, model.Active, model.ActivatedAt);
}
