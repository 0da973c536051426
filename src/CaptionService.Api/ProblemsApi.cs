using System.Diagnostics;
using System.Globalization;
using CaptionService.Captioning.Encoders;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace CaptionService.Api;

/// <summary>How a route that speaks another protocol writes its problems: JSON made of the kind and the detail.</summary>
internal sealed record ProblemShape(Func<ProblemKind, string, object> Of);

/// <summary>The one way out for everything that is not a success: <c>application/problem+json</c>.</summary>
public static partial class ProblemsApi
{
    /// <summary>Registers the handler of exceptions.</summary>
    public static IServiceCollection AddProblems(this IServiceCollection services) =>
        services.AddExceptionHandler<ProblemHandler>();

    /// <summary>Turns exceptions, and statuses the framework sets without a body, into problems.</summary>
    public static WebApplication UseProblems(this WebApplication app)
    {
        // A caller who left is answered by the middleware itself: status 499, no body, no error in the log.
        app.UseExceptionHandler(new ExceptionHandlerOptions { ExceptionHandler = _ => Task.CompletedTask });
        app.UseStatusCodePages(page =>
        {
            ProblemKind kind = ProblemTable.Of(page.HttpContext.Response.StatusCode);
            string what = kind == ProblemTable.NotFound || kind == ProblemTable.MethodNotAllowed
                ? $"{page.HttpContext.Request.Method} {page.HttpContext.Request.Path} is not part of this service."
                : $"{kind.Title}.";
            return Write(page.HttpContext, kind, what, null);
        });
        return app;
    }

    /// <summary>Maps <c>GET /problems/{code}</c>, where each problem's <c>type</c> leads.</summary>
    public static void MapProblems(this IEndpointRouteBuilder routes) =>
        routes.MapGet("/problems/{code}", Ok<ProblemKind> (string code) =>
                TypedResults.Ok(ProblemTable.Find(code) ?? throw new ProblemException(ProblemTable.NotFound, $"There is no problem with the code '{code}'.")))
            .AllowAnonymous().WithName("GetProblem").WithTags("Problems")
            .WithSummary("What a problem's code means")
            .WithDescription("Every answer that is not a success is application/problem+json; its `type` leads here.")
            .Problems(404);

    /// <summary>The problem object for a failure.</summary>
    internal static ProblemDetails Details(Exception exception) => Details(ProblemTable.Of(exception), What(exception));

    // Only messages written for callers leave the service.
    private static string What(Exception exception) => exception is ProblemException or PhotoRejectedException or BadHttpRequestException
        ? exception.Message
        : "An error that the service did not expect stopped this request.";

    private static ProblemDetails Details(ProblemKind kind, string what) => new()
    {
        Type = kind.Type,
        Title = kind.Title,
        Status = kind.Status,
        Detail = $"{what} {kind.WhatToDo}",
        Extensions = { ["code"] = kind.Code },
    };

    private static Task Write(HttpContext context, ProblemKind kind, string what, ProblemException? problem)
    {
        ProblemDetails details = Details(kind, what);
        details.Instance = context.Request.Path;
        details.Extensions["traceId"] = Activity.Current?.TraceId.ToHexString() ?? context.TraceIdentifier;
        if (problem?.Member is var (name, value))
            details.Extensions[name] = value;
        if (kind.Status is 429 or 503)
        {
            double seconds = Math.Ceiling((problem?.RetryAfter ?? ProblemTable.RetryAfter).TotalSeconds);
            context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        }
        else if (kind.Status == 401)
            context.Response.Headers.WWWAuthenticate = kind == ProblemTable.NoKey ? "Bearer realm=\"CaptionService\"" : "Bearer realm=\"CaptionService\", error=\"invalid_token\"";
        Endpoint? endpoint = context.GetEndpoint() ?? context.Features.Get<IExceptionHandlerFeature>()?.Endpoint;
        if (endpoint?.Metadata.GetMetadata<ProblemShape>() is { } shape)
        {
            context.Response.StatusCode = kind.Status;
            return context.Response.WriteAsJsonAsync(shape.Of(kind, details.Detail!), Json.Answers);
        }
        return TypedResults.Problem(details).ExecuteAsync(context);
    }

    private sealed partial class ProblemHandler(ILogger<ProblemHandler> logger) : IExceptionHandler
    {
        public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
        {
            ProblemKind kind = ProblemTable.Of(exception);
            if (kind == ProblemTable.Internal)
                Log.Unexpected(logger, exception);
            await Write(httpContext, kind, What(exception), exception as ProblemException);
            return true;
        }

        private static partial class Log
        {
            [LoggerMessage(1, LogLevel.Error, "A request failed unexpectedly")]
            public static partial void Unexpected(ILogger logger, Exception exception);
        }
    }
}
