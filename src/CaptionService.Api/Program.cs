using CaptionService.Api;
using CaptionService.Api.Audit;
using CaptionService.Api.CaptionJobs;
using CaptionService.Api.Captions;
using CaptionService.Api.Compatible;
using CaptionService.Api.Datasets;
using CaptionService.Api.Feedback;
using CaptionService.Api.Fetch;
using CaptionService.Api.Keys;
using CaptionService.Api.Models;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using CaptionService.Api.TrainingJobs;
using CaptionService.Api.Webhooks;
using CaptionService.Captioning.Encoders;

if (args is ["keys", .. string[] command])
{
    Environment.ExitCode = await KeysCommand.Run(command);
    return;
}

if (args is [PhotoDecoder.Verb])
{
    PhotoPipe.Serve();
    return;
}

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.AddServerLimits(CaptioningOptions.MaxFormBytes);
builder.AddRequestLog();
builder.Services.AddProblems();
builder.Services.AddSecurityHeaders();
builder.Services.AddWebClients();
builder.Services.AddStorage();
builder.AddKeys();
builder.Services.AddRateLimits();
builder.Services.AddHealth();
builder.Services.AddTrainer();
builder.Services.AddModels();
builder.Services.AddEvaluations();
builder.Services.AddFetch();
builder.Services.AddCaptions();
builder.Services.AddCompatible();
builder.Services.AddTrainingJobs();
builder.Services.AddDatasets();
builder.Services.AddFeedback();
builder.Services.AddCaptionJobs();
builder.Services.AddWebhooks();
builder.Services.AddOpenApiDocument();
builder.AddTelemetry();

WebApplication app = builder.Build();
app.UseSecurityHeaders();
app.UseRequestLog();
app.UseProblems();
app.UseWebClients();
app.UsePageFiles();
app.UseKeys();
app.UseAudit();
app.MapCaptions();
app.MapCaptionJobs();
app.MapCompatible();
app.MapDatasets();
app.MapFeedback();
app.MapModels();
app.MapTrainingJobs();
app.MapEvaluations();
app.MapKeys();
app.MapAudit();
app.MapHealth();
app.MapProblems();
app.MapOpenApiDocument();
app.MapTelemetry();
try
{
    await app.RunAsync();
}
catch (StorageException)
{
    Environment.ExitCode = 1;   // the log says why
}
catch (KeysException refused)
{
    await Console.Error.WriteLineAsync(refused.Message);
    Environment.ExitCode = 1;
}
catch (OperationCanceledException)
{
    // Asked to stop while it was still starting: by a signal, or by the worker, which has set the exit code.
}
