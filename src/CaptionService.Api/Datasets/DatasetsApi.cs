using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using CaptionService.Captioning.Jobs;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Datasets;

/// <summary>Photos with captions, to train on.</summary>
public static class DatasetsApi
{
    /// <summary>Registers what takes data sets in and looks through them.</summary>
    public static IServiceCollection AddDatasets(this IServiceCollection services)
    {
        services.AddOptions<DatasetsOptions>().BindConfiguration(DatasetsOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<DatasetUpload>();
        services.AddSingleton<DatasetImporter>();
        services.AddSingleton<DatasetInspector>();
        services.AddSingleton<ITrainerWork>(provider => provider.GetRequiredService<DatasetInspector>());
        return services.AddHostedService<DatasetSweep>();
    }

    /// <summary>Maps <c>/datasets</c>.</summary>
    public static void MapDatasets(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder datasets = routes.MapGroup("/datasets").WithTags("Data sets").Needs(Scope.Train);
        datasets.MapPost("/", Post).WithName("PostDataset")
            .WithSummary("Photos and captions in, a data set to train on out")
            .WithDescription("Send a form with an archive (zip, tar, tar.gz) that holds photos and captions, or the captions as a file of their own; or JSON that names a folder of the server which the operator allows, or the corrections that were kept (`{\"feedback\": true}`). "
                + "Captions are recognised by content: a Flickr token file, COCO captions JSON, Karpathy's dataset.json, CSV or TSV with a header, JSON lines; with features as .npy no photos are needed. "
                + "Splits are taken from the data, or drawn by photo. The answer comes when the data set is unpacked and joined; its photos are then looked through in the background, and `status` turns from `checking` to `ready` or `refused`.")
            .Problems(400, 403, 408, 413, 415, 422, 503, 507).Describe(DatasetsOperation.DescribePost);
        datasets.MapGet("/", List).WithName("GetDatasets").WithSummary("The data sets, the newest first").Problems(400, 503).Describe(Paging.List.Describe);
        datasets.MapGet("/{id}", Get).WithName("GetDataset").WithSummary("One data set, with the report of its inspection").Problems(404, 503).Describe(DatasetsOperation.DescribeId);
        datasets.MapDelete("/{id}", Delete).WithName("DeleteDataset").WithSummary("Deletes a data set that no job uses").Problems(404, 409, 503).Describe(DatasetsOperation.DescribeId);
        datasets.MapGet("/{id}/items", Items).WithName("GetDatasetItems").WithSummary("The photos of a data set with their captions and splits")
            .Problems(400, 404, 503).Describe(DatasetsOperation.DescribeId).Describe(DatasetsOperation.DescribeSplit).Describe(Paging.List.Describe);
        datasets.MapGet("/{id}/photos/{name}", Photo).WithName("GetDatasetPhoto").WithSummary("A photo of a data set, as it came")
            .Produces<Stream>(200, "image/jpeg", "image/png", "image/webp", "image/gif", "application/octet-stream").Problems(404, 503)
            .Describe(DatasetsOperation.DescribeId).Describe(DatasetsOperation.DescribeName);
    }

    private static async Task<Created<DatasetResponse>> Post(HttpRequest request, DatasetImporter importer, DatasetInspector inspector, CaptionDb db, CancellationToken aborted)
    {
        Dataset dataset = await importer.Import(request, aborted);
        try
        {
            db.Datasets.Add(dataset);
            await db.SaveChangesAsync(CancellationToken.None);
            importer.Settle(dataset.Id);
        }
        catch
        {
            importer.Delete(dataset.Id);
            throw;
        }
        inspector.Add(dataset.Id);
        return TypedResults.Created($"/datasets/{dataset.Id}", DatasetResponse.Of(dataset));
    }

    private static async Task<Ok<DatasetsResponse>> List(CaptionDb db, string? offset, string? limit, CancellationToken aborted)
    {
        (int skip, int take) = Paging.List.Read(offset, limit);
        List<Dataset> page = await db.Datasets.AsNoTracking().OrderByDescending(dataset => dataset.CreatedAt).ThenBy(dataset => dataset.Id).Skip(skip).Take(take).ToListAsync(aborted);
        return TypedResults.Ok(new DatasetsResponse(await db.Datasets.CountAsync(aborted), skip, [.. page.Select(dataset => DatasetResponse.Of(dataset) with { Report = null })]));
    }

    private static async Task<Ok<DatasetResponse>> Get(string id, CaptionDb db, CancellationToken aborted) =>
        TypedResults.Ok(DatasetResponse.Of(await Find(db, id, aborted)));

    private static async Task<NoContent> Delete(string id, CaptionDb db, DatasetImporter importer, DatasetInspector inspector, CancellationToken aborted)
    {
        await Find(db, id, aborted);
        JobState[] done = [JobState.Cancelled, JobState.Failed, JobState.Succeeded];
        if (await db.TrainingJobs.Where(JobDataset.UsedBy(id)).Where(job => !done.Contains(job.State)).Select(job => job.Id).FirstOrDefaultAsync(aborted) is { } job)
            throw new ProblemException(ProblemTable.DatasetInUse, $"The training job '{job}' uses it.");
        if (await db.Evaluations.Where(evaluation => evaluation.DatasetId == id && (evaluation.State == EvaluationState.Queued || evaluation.State == EvaluationState.Running)).Select(evaluation => evaluation.Id).FirstOrDefaultAsync(aborted) is { } evaluation)
            throw new ProblemException(ProblemTable.DatasetInUse, $"The evaluation '{evaluation}' uses it.");
        if (await db.CaptionJobs.Where(job => job.DatasetId == id && !done.Contains(job.State)).Select(job => job.Id).FirstOrDefaultAsync(aborted) is { } captions)
            throw new ProblemException(ProblemTable.DatasetInUse, $"The caption job '{captions}' uses it.");
        importer.Unsettle(id);
        int deleted;
        try
        {
            deleted = await db.Datasets.Where(dataset => dataset.Id == id).ExecuteDeleteAsync(CancellationToken.None);
        }
        catch
        {
            importer.Settle(id);
            throw;
        }
        inspector.Drop(id);
        importer.Delete(id);
        return deleted > 0 ? TypedResults.NoContent() : throw NotFound(id);     // another request was faster
    }

    private static async Task<Ok<DatasetItemsResponse>> Items(string id, CaptionDb db, IOptions<StorageOptions> storage, string? split, string? offset, string? limit, CancellationToken aborted)
    {
        (int skip, int take) = Paging.List.Read(offset, limit);
        if (split is not (null or "train" or "dev" or "test" or "none"))
            throw new ProblemException(ProblemTable.InvalidOption, $"The split is '{split.Quoted()}'; it must be train, dev, test or none.");
        await Find(db, id, aborted);
        string folder = Path.Combine(storage.Value.Datasets, id);
        try
        {
            return TypedResults.Ok(await DatasetItems.Read(folder, split, skip, take, aborted));
        }
        catch (IOException) when (!Directory.Exists(folder))
        {
            throw NotFound(id);     // deleted at this moment
        }
    }

    private static async Task<PhysicalFileHttpResult> Photo(string id, string name, HttpResponse response, CaptionDb db, IOptions<StorageOptions> storage, CancellationToken aborted) =>
        DatasetPhotos.Get(response, Path.Combine(storage.Value.Datasets, (await Find(db, id, aborted)).Id), name);

    private static async Task<Dataset> Find(CaptionDb db, string id, CancellationToken aborted) =>
        (Ids.Is(id) ? await db.Datasets.FindAsync([id], aborted) : null) ?? throw NotFound(id);

    private static ProblemException NotFound(string id) => new(ProblemTable.DatasetNotFound, $"No data set has the id '{id.Quoted()}'.");
}

/// <summary>Answer of <c>GET /datasets</c>.</summary>
/// <param name="Total">Data sets in all.</param>
/// <param name="Offset">How many are before this page.</param>
/// <param name="Datasets">The page, without reports.</param>
public sealed record DatasetsResponse(int Total, int Offset, IReadOnlyList<DatasetResponse> Datasets);

/// <summary>One data set.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Name">What its owner calls it.</param>
/// <param name="Language">Language of the captions (BCP 47).</param>
/// <param name="Status"><c>checking</c>: its photos are being looked through; <c>ready</c>: jobs can train on it; <c>refused</c>: no job can.</param>
/// <param name="CreatedAt">When it was sent.</param>
/// <param name="Photos">Photos that can be used; 0 while it is checked.</param>
/// <param name="Captions">Captions that can be used.</param>
/// <param name="TrainPhotos">Photos to learn from.</param>
/// <param name="DevPhotos">Photos to choose by.</param>
/// <param name="Bytes">Size on the server's disk.</param>
/// <param name="Problem">Why it is refused.</param>
/// <param name="Report">What the inspection found; not in lists, nor while it is checked.</param>
public sealed record DatasetResponse(string Id, string Name, string Language, string Status, DateTimeOffset CreatedAt, int Photos, int Captions, int TrainPhotos, int DevPhotos, long Bytes,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Problem,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DatasetReport? Report)
{
    internal static DatasetResponse Of(Dataset dataset) => new(dataset.Id, dataset.Name, dataset.Language, dataset.Status.Name(), dataset.CreatedAt, dataset.Photos, dataset.Captions,
        dataset.TrainPhotos, dataset.DevPhotos, dataset.Bytes, dataset.Problem,
        dataset.Report is null ? null : JsonSerializer.Deserialize<DatasetReport>(dataset.Report, TrainingEvent.Json));
}

/// <summary>Answer of <c>GET /datasets/{id}/items</c>.</summary>
/// <param name="Total">Photos in all, of the split where one is asked for.</param>
/// <param name="Offset">How many are before this page.</param>
/// <param name="Items">The page, in the order of the captions.</param>
public sealed record DatasetItemsResponse(int Total, int Offset, IReadOnlyList<DatasetItem> Items);

/// <summary>One photo of a data set.</summary>
/// <param name="Photo">Its name.</param>
/// <param name="Split"><c>train</c>, <c>dev</c>, <c>test</c>, or <c>none</c>: broken, or left out of training because another split has it.</param>
/// <param name="Captions">As people wrote them.</param>
public sealed record DatasetItem(string Photo, string Split, IReadOnlyList<string> Captions);
