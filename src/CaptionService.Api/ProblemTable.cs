using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Models;

namespace CaptionService.Api;

/// <summary>One kind of failure, as callers know it.</summary>
/// <param name="Code">Stable name, for programs.</param>
/// <param name="Status">HTTP status.</param>
/// <param name="Title">What this kind of failure is, for people.</param>
/// <param name="WhatToDo">How a caller gets past it.</param>
public sealed record ProblemKind(string Code, int Status, string Title, string WhatToDo)
{
    /// <summary>The problem's <c>type</c>: a reference that can be opened on this server.</summary>
    public string Type => $"/problems/{Code}";
}

/// <summary>A known failure on its way to the caller.</summary>
public sealed class ProblemException(ProblemKind kind, string detail, TimeSpan? retryAfter = null) : Exception(detail)
{
    /// <summary>Which failure this is.</summary>
    public ProblemKind Kind { get; } = kind;

    /// <summary>When to try again; null for <see cref="ProblemTable.RetryAfter"/>.</summary>
    public TimeSpan? RetryAfter { get; } = retryAfter;

    /// <summary>A member of the problem object beside the usual ones; null for none.</summary>
    internal (string Name, object Value)? Member { get; init; }
}

/// <summary>Every known failure and its status. Nothing else in the service chooses a status above 399.</summary>
public static class ProblemTable
{
    /// <summary>Sent with 429 and 503 where nothing better is known.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    // The request
    internal static readonly ProblemKind InvalidOption = new("invalid_option", 400, "An option is unknown or out of range", "Correct the option and send the request again.");
    internal static readonly ProblemKind UnknownLanguage = new("unknown_language", 400, "No model writes this language", "Ask for one of the languages that the detail names; GET /models lists the models.");
    internal static readonly ProblemKind MalformedBody = new("malformed_body", 400, "The body cannot be read", "Send multipart/form-data, one photo's bytes, or JSON as /swagger describes it.");
    internal static readonly ProblemKind NoPhoto = new("no_photo", 400, "The request holds no photo", "Send 1 to 16 photos: as files of a form, as the body, or in the JSON array \"images\".");
    internal static readonly ProblemKind TooManyPhotos = new("too_many_photos", 400, "The request holds too many photos", "Send at most 16 photos in one request.");
    internal static readonly ProblemKind BadRequest = new("bad_request", 400, "The request cannot be understood", "See /swagger for what the service understands.");
    internal static readonly ProblemKind NoKey = new("no_key", 401, "A key is needed", "Send it as Authorization: Bearer KEY, or as X-Api-Key; the operator makes one with `keys create`.");
    internal static readonly ProblemKind BadKey = new("bad_key", 401, "The key does not count", "Ask the operator for a new one.");
    internal static readonly ProblemKind ScopeMissing = new("scope_missing", 403, "The key does not allow this", "Use a key of the scope that the detail names.");
    internal static readonly ProblemKind KeyNotFound = new("key_not_found", 404, "No key has this id", "GET /keys lists the keys.");
    internal static readonly ProblemKind NotFound = new("not_found", 404, "There is nothing at this address", "See /swagger for the addresses of this service.");
    internal static readonly ProblemKind ModelNotFound = new("model_not_found", 404, "No model has this name", "GET /models lists the models.");
    internal static readonly ProblemKind DatasetNotFound = new("dataset_not_found", 404, "No data set has this id", "GET /datasets lists the data sets.");
    internal static readonly ProblemKind PhotoNotFound = new("photo_not_found", 404, "The data set has no photo of this name", "GET /datasets/{id}/items lists its photos.");
    internal static readonly ProblemKind EvaluationNotFound = new("evaluation_not_found", 404, "No evaluation has this id", "GET /evaluations lists the evaluations.");
    internal static readonly ProblemKind MethodNotAllowed = new("method_not_allowed", 405, "The address does not take this method", "The Allow header names the methods it takes.");
    internal static readonly ProblemKind RequestTimeout = new("request_timeout", 408, "The request arrived too slowly", "Send it again over a faster connection.");
    internal static readonly ProblemKind BodyTooLarge = new("body_too_large", 413, "The body is too large", "Send fewer or smaller photos in one request; large ones as multipart/form-data.");

    // One photo. The codes are those of PhotoRejectedException where it is the one to tell.
    internal static readonly ProblemKind Empty = new("empty", 400, "The photo has no bytes", "Check that the file was read before it was sent.");
    internal static readonly ProblemKind BadBase64 = new("bad_base64", 400, "The photo's data is not base64", "Put base64, or a data: URL in base64, into \"data\"; an address goes into \"url\".");
    internal static readonly ProblemKind FetchDisabled = new("fetch_disabled", 403, "The service does not fetch photos", "Send the photo itself, or have the operator allow it (Fetch:Enabled).");
    internal static readonly ProblemKind UrlRefused = new("url_refused", 400, "The photo's address may not be fetched from", "Name a public http or https address, or send the photo itself.");
    internal static readonly ProblemKind FetchFailed = new("fetch_failed", 422, "The photo could not be fetched", "Check that the address answers with the photo to whoever asks, or send the photo itself.");
    internal static readonly ProblemKind TooManyBytes = new("too_many_bytes", 413, "The photo has too many bytes", "Save it smaller: the service looks at 224×224 pixels of it.");
    internal static readonly ProblemKind TooManyPixels = new("too_many_pixels", 413, "The photo has too many pixels", "Save it smaller: the service looks at 224×224 pixels of it.");
    internal static readonly ProblemKind TooMuchMemory = new("too_much_memory", 413, "The photo takes too much memory to decode", "Save it smaller, or as a baseline JPEG.");
    internal static readonly ProblemKind NotAPhoto = new("not_a_photo", 415, "These bytes hold no photo that the service reads", "Save it in one of these formats and send that.");
    internal static readonly ProblemKind UnsupportedMediaType = new("unsupported_media_type", 415, "The body is of a type that the service does not read", "Send multipart/form-data, one photo's bytes, or JSON.");
    internal static readonly ProblemKind BrokenPhoto = new("broken_photo", 422, "The photo is broken", "Check that the file is whole, and open and save it anew.");

    // Models
    internal static readonly ProblemKind DatasetNotReady = new("dataset_not_ready", 409, "The data set cannot be trained on", "See its report at GET /datasets/{id}, mend what it names, and send it again.");
    internal static readonly ProblemKind ModelActive = new("model_active", 409, "The model is in service", "Activate another version first, or roll back.");
    internal static readonly ProblemKind ModelReadOnly = new("model_read_only", 409, "The model comes with the product and stays", "Activate another one; this one costs nothing then.");
    internal static readonly ProblemKind NoEarlierModel = new("no_earlier_model", 409, "There is nothing to go back to", "GET /models tells which are active; activate a version by name.");
    internal static readonly ProblemKind ModelRefused = new("model_refused", 422, "The model bundle cannot be used", $"Send a zip of {BundleFiles.List(BundleFiles.All)}, as the trainer wrote them.");
    // Data sets
    internal static readonly ProblemKind NoArchive = new("no_archive", 400, "The request brings no data set", "Send a form with an archive (zip, tar, tar.gz) as the file \"archive\", and the captions in it or as the file \"captions\".");
    internal static readonly ProblemKind FolderNotAllowed = new("folder_not_allowed", 403, "The folder may not be read", "Name a folder below one that the operator allows (Datasets:ImportFolders, CaptionJobs:Folders).");
    internal static readonly ProblemKind DatasetInUse = new("dataset_in_use", 409, "The data set is in use", "Wait until the job is done, or cancel it; then send the request again.");
    internal static readonly ProblemKind ArchiveTooLarge = new("archive_too_large", 413, "The archive holds more than is taken in", "Send fewer or smaller files, or have the operator raise the limit (Datasets).");
    internal static readonly ProblemKind UnknownArchive = new("unknown_archive", 415, "The file is of a kind that is not read", "Send zip, tar or tar.gz.");
    internal static readonly ProblemKind BrokenArchive = new("broken_archive", 422, "The archive is broken", "Check that it is whole, and pack it anew.");
    internal static readonly ProblemKind UnsafeArchive = new("unsafe_archive", 422, "The archive holds what is not unpacked", "Pack plain files under relative names, without links, devices or encryption.");
    internal static readonly ProblemKind NoCaptions = new("no_captions", 422, "No captions were found", "Add them: a Flickr token file, COCO captions JSON, Karpathy's dataset.json, CSV or TSV with a header (image, caption), or JSON lines.");
    internal static readonly ProblemKind AmbiguousCaptions = new("ambiguous_captions", 422, "Several files hold captions", "Send one of them, or name each after its split (train, val, test).");
    internal static readonly ProblemKind BrokenCaptions = new("broken_captions", 422, "The captions are malformed", "Correct the line and send the data set again.");
    internal static readonly ProblemKind NoPhotosSent = new("no_photos_sent", 422, "No photos came with the captions", "Add them to the archive, or features as an .npy array.");
    internal static readonly ProblemKind NothingFits = new("nothing_fits", 422, "Captions and photos do not belong together", "The captions must name the photos' files.");
    internal static readonly ProblemKind FeaturesMismatch = new("features_mismatch", 422, "The features do not fit the captions", "Send an array of float16 or float32 with a row for each caption line, or for each photo in the order of the captions.");

    // Feedback
    internal static readonly ProblemKind FeedbackDisabled = new("feedback_disabled", 403, "The service keeps no feedback", "Have the operator allow it (Feedback:Enabled).");
    internal static readonly ProblemKind FeedbackNotFound = new("feedback_not_found", 404, "No correction has this id", "GET /feedback lists the corrections.");
    internal static readonly ProblemKind FeedbackFull = new("feedback_full", 409, "No more feedback is kept", "Delete corrections that were trained on, or have the operator raise the limit (Feedback:MaxEntries).");
    internal static readonly ProblemKind NoFeedback = new("no_feedback", 422, "There is no feedback to train on", "Send corrections with their photos (POST /feedback), in the language of the data set.");

    // The service
    internal static readonly ProblemKind QueueFull = new("queue_full", 429, "Too many photos are waiting", "Wait as long as Retry-After says and send the request again.");
    internal static readonly ProblemKind RateLimited = new("rate_limited", 429, "Too much was asked for in a minute", "Wait as long as Retry-After says and send the request again.");
    internal static readonly ProblemKind Internal = new("internal_error", 500, "The service failed", "Send the request again; if it fails again, give the operator the trace id.");
    internal static readonly ProblemKind NotOffered = new("not_offered", 501, "The service does not do this", "Take it off the list of what the client asks for: the service only captions.");
    internal static readonly ProblemKind ModelLoading = new("model_loading", 503, "The model is still loading", "Wait as long as Retry-After says and send the request again; GET /health/ready tells when.");
    internal static readonly ProblemKind Draining = new("draining", 503, "The service is shutting down", "Send the request again: it will reach another instance, or this one once it is back.");
    internal static readonly ProblemKind OutOfMemory = new("out_of_memory", 503, "The device is out of memory", "Wait as long as Retry-After says and send the request again, with a smaller beamWidth if it keeps failing.");
    internal static readonly ProblemKind WorkerStuck = new("worker_stuck", 503, "The models do not come back from a batch", "Restart the service; an orchestrator that asks GET /health/live does so itself.");
    internal static readonly ProblemKind DeadlinePassed = new("deadline_passed", 504, "The captions were not ready in time", "Send the request again when the service is less busy, or send fewer photos at once.");

    // Training jobs
    internal static readonly ProblemKind JobNotFound = new("job_not_found", 404, "No training job has this id", "GET /training-jobs lists the jobs.");
    internal static readonly ProblemKind JobState = new("job_state", 409, "The job is in a state that does not allow this", "GET the job to see its state.");
    internal static readonly ProblemKind NoBaseModel = new("no_base_model", 409, "There is no model to start from", "Name one of GET /models as baseModel, or choose the preset best.");
    internal static readonly ProblemKind IdempotencyKeyInUse = new("idempotency_key_in_use", 409, "A request with this Idempotency-Key is still under way", "Send it again in a moment.");
    internal static readonly ProblemKind IdempotencyKeyReused = new("idempotency_key_reused", 422, "This Idempotency-Key came with another body before", "Use a new key for a new job.");

    // Caption jobs
    internal static readonly ProblemKind CaptionJobNotFound = new("caption_job_not_found", 404, "No caption job has this id", "GET /caption-jobs lists the jobs.");
    internal static readonly ProblemKind NoSource = new("no_source", 400, "The job names no photos, or several sources of them", "Send a form with a zip as the file \"archive\", or JSON with either \"dataset\" or \"folder\".");
    internal static readonly ProblemKind NoPhotosFound = new("no_photos_found", 422, "There are no photos to caption", "Check that the archive, data set or folder has photos: JPEG, PNG, WebP or GIF.");
    internal static readonly ProblemKind PhotoGone = new("photo_gone", 404, "The photo's file is gone or cannot be read", "Put it back and start a new job.");

    // The storage
    internal static readonly ProblemKind DatabaseBusy = new("database_busy", 503, "The database is locked by another program", "Wait as long as Retry-After says and send the request again.");
    internal static readonly ProblemKind DatabaseDamaged = new("database_damaged", 503, "The database file is damaged", "The operator must put back a copy of it; captions are made meanwhile.");
    internal static readonly ProblemKind DatabaseUnavailable = new("database_unavailable", 503, "The database cannot be reached", "Wait as long as Retry-After says and send the request again; captions are made meanwhile.");
    internal static readonly ProblemKind StorageFull = new("storage_full", 507, "The disk is full", "Delete data sets or models that are not needed, or give the service more room.");

    /// <summary>Every kind, in the order of the statuses.</summary>
    public static IReadOnlyList<ProblemKind> All { get; } =
    [
        InvalidOption, UnknownLanguage, MalformedBody, NoPhoto, TooManyPhotos, BadRequest, Empty, BadBase64, UrlRefused, FetchDisabled, NoKey, BadKey, ScopeMissing, KeyNotFound, NotFound, ModelNotFound, DatasetNotFound, PhotoNotFound, EvaluationNotFound, MethodNotAllowed,
        RequestTimeout, BodyTooLarge, TooManyBytes, TooManyPixels, TooMuchMemory, NotAPhoto, UnsupportedMediaType, BrokenPhoto, FetchFailed,
        JobNotFound, JobState, NoBaseModel, IdempotencyKeyInUse, IdempotencyKeyReused,
        CaptionJobNotFound, NoSource, NoPhotosFound, PhotoGone,
        DatasetNotReady, ModelActive, ModelReadOnly, NoEarlierModel, ModelRefused,
        NoArchive, FolderNotAllowed, DatasetInUse, ArchiveTooLarge, UnknownArchive, BrokenArchive, UnsafeArchive,
        NoCaptions, AmbiguousCaptions, BrokenCaptions, NoPhotosSent, NothingFits, FeaturesMismatch,
        FeedbackDisabled, FeedbackNotFound, FeedbackFull, NoFeedback,
        QueueFull, RateLimited, Internal, NotOffered, ModelLoading, Draining, OutOfMemory, WorkerStuck,
        DatabaseBusy, DatabaseDamaged, DatabaseUnavailable, DeadlinePassed, StorageFull,
    ];

    /// <summary>The kind with a code, or null.</summary>
    public static ProblemKind? Find(string code) => All.FirstOrDefault(kind => kind.Code == code);

    /// <summary>Which kind of failure an exception is.</summary>
    public static ProblemKind Of(Exception exception) => exception switch
    {
        ProblemException problem => problem.Kind,
        PhotoRejectedException rejected => Find(rejected.Code) ?? BrokenPhoto,
        BadHttpRequestException { StatusCode: 413 } => BodyTooLarge,
        BadHttpRequestException { StatusCode: 408 } => RequestTimeout,
        BadHttpRequestException => MalformedBody,
        _ => StorageProblems.Of(exception) ?? Internal,
    };

    /// <summary>Which kind a status is that the framework chose.</summary>
    public static ProblemKind Of(int status) => status switch
    {
        404 => NotFound,
        405 => MethodNotAllowed,
        408 => RequestTimeout,
        413 => BodyTooLarge,
        415 => UnsupportedMediaType,
        < 500 => BadRequest with { Status = status },
        _ => Internal with { Status = status },
    };
}
