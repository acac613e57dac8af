package sandbox;

import ca.uhn.fhir.batch2.jobs.config.Batch2JobsConfig;
import ca.uhn.fhir.batch2.jobs.export.BulkDataExportProvider;
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.jpa.api.IDaoRegistry;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.config.ThreadPoolFactoryConfig;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.batch2.JpaBatch2Config;
import ca.uhn.fhir.jpa.config.HibernatePropertiesProvider;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.r5.JpaR5Config;
import ca.uhn.fhir.jpa.config.util.HapiEntityManagerFactoryUtil;
import ca.uhn.fhir.jpa.config.util.ResourceCountCacheUtil;
import ca.uhn.fhir.jpa.dao.FulltextSearchSvcImpl;
import ca.uhn.fhir.jpa.dao.IFulltextSearchSvc;
import ca.uhn.fhir.jpa.dao.search.HSearchSortHelperImpl;
import ca.uhn.fhir.jpa.dao.search.IHSearchSortHelper;
import ca.uhn.fhir.jpa.model.config.PartitionSettings;
import ca.uhn.fhir.jpa.model.config.SubscriptionSettings;
import ca.uhn.fhir.jpa.provider.DaoRegistryResourceSupportedSvc;
import ca.uhn.fhir.jpa.provider.IJpaSystemProvider;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.search.IStaleSearchDeletingSvc;
import ca.uhn.fhir.jpa.search.StaleSearchDeletingSvcImpl;
import ca.uhn.fhir.jpa.subscription.channel.config.SubscriptionChannelConfig;
import ca.uhn.fhir.jpa.subscription.match.config.SubscriptionProcessorConfig;
import ca.uhn.fhir.jpa.subscription.match.deliver.email.IEmailSender;
import ca.uhn.fhir.jpa.subscription.submit.config.SubscriptionSubmitterConfig;
import ca.uhn.fhir.jpa.topic.SubscriptionTopicConfig;
import ca.uhn.fhir.jpa.util.ResourceCountCache;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.api.IResourceSupportedSvc;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import com.zaxxer.hikari.HikariDataSource;
import jakarta.persistence.EntityManagerFactory;
import java.util.Properties;
import javax.sql.DataSource;
import org.hibernate.dialect.Dialect;
import org.hl7.fhir.dstu2.model.Subscription.SubscriptionChannelType;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.SpringBootConfiguration;
import org.springframework.boot.autoconfigure.ImportAutoConfiguration;
import org.springframework.boot.autoconfigure.web.servlet.ServletWebServerFactoryAutoConfiguration;
import org.springframework.boot.web.servlet.ServletRegistrationBean;
import org.springframework.context.EnvironmentAware;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.ImportSelector;
import org.springframework.context.annotation.Primary;
import org.springframework.core.env.Environment;
import org.springframework.core.type.AnnotationMetadata;
import org.springframework.orm.jpa.JpaTransactionManager;
import org.springframework.orm.jpa.LocalContainerEntityManagerFactoryBean;

/**
 * A real HAPI FHIR server for the integration tests: JPA storage, paging, transactions,
 * {@code $everything}, {@code $validate}, {@code $export} and rest-hook subscriptions.
 *
 * <p>The property {@code sandbox.fhir-release} says which FHIR it speaks: {@code r4} (default) or {@code r5}.
 *
 * <p>The database is H2 in memory, so every start is an empty server. The properties {@code
 * sandbox.jdbc-url}, {@code sandbox.jdbc-user} and {@code sandbox.jdbc-password} choose PostgreSQL.
 */
@SpringBootConfiguration
@ImportAutoConfiguration(ServletWebServerFactoryAutoConfiguration.class)
@Import({
    HapiSandbox.Release.class,
    ThreadPoolFactoryConfig.class,
    SubscriptionSubmitterConfig.class,
    SubscriptionProcessorConfig.class,
    SubscriptionChannelConfig.class,
    JpaBatch2Config.class,
    Batch2JobsConfig.class
})
public class HapiSandbox {

  public static void main(String[] args) {
    SpringApplication.run(HapiSandbox.class, args);
  }

  /** The JPA configuration of the release asked for; HAPI has one for each. */
  static class Release implements ImportSelector, EnvironmentAware {

    private Environment env;

    @Override
    public void setEnvironment(Environment environment) {
      env = environment;
    }

    @Override
    public String[] selectImports(AnnotationMetadata importing) {
      String release = env.getProperty("sandbox.fhir-release", "r4");
      return switch (release) {
        case "r4" -> new String[] {JpaR4Config.class.getName()};
        // Subscriptions of R5 are by topics; without this part HAPI stores them, and no event matches.
        case "r5" -> new String[] {JpaR5Config.class.getName(), SubscriptionTopicConfig.class.getName()};
        default -> throw new IllegalArgumentException("sandbox.fhir-release: r4 or r5, not " + release);
      };
    }
  }

  @Bean
  HikariDataSource dataSource(Environment env) {
    HikariDataSource source = new HikariDataSource();
    source.setJdbcUrl(env.getProperty("sandbox.jdbc-url", "jdbc:h2:mem:fhir;DB_CLOSE_DELAY=-1"));
    source.setUsername(env.getProperty("sandbox.jdbc-user", "sa"));
    source.setPassword(env.getProperty("sandbox.jdbc-password", ""));
    source.setMaximumPoolSize(20);
    return source;
  }

  @Bean
  @Primary
  LocalContainerEntityManagerFactoryBean entityManagerFactory(
      ConfigurableListableBeanFactory beans,
      FhirContext context,
      JpaStorageSettings storage,
      DataSource source,
      Environment env) {
    LocalContainerEntityManagerFactoryBean factory =
        HapiEntityManagerFactoryUtil.newEntityManagerFactory(beans, context, storage);
    Properties properties = new Properties();
    properties.put("hibernate.dialect", dialectName(env));
    properties.put("hibernate.hbm2ddl.auto", "update");
    properties.put("hibernate.jdbc.batch_size", "20");
    properties.put("hibernate.search.enabled", "false");
    factory.setPersistenceUnitName("HAPI_PU");
    factory.setJpaProperties(properties);
    factory.setDataSource(source);
    return factory;
  }

  @Bean
  @Primary
  JpaTransactionManager transactionManager(EntityManagerFactory factory) {
    return new JpaTransactionManager(factory);
  }

  @Bean
  @Primary
  HibernatePropertiesProvider dialectProvider(Environment env) {
    return new HibernatePropertiesProvider() {
      @Override
      public Dialect getDialect() {
        try {
          return (Dialect) Class.forName(dialectName(env)).getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException e) {
          throw new IllegalStateException(e);
        }
      }
    };
  }

  /** HAPI ships a dialect of its own for each database; PostgreSQL and H2 are the two on the class path. */
  private static String dialectName(Environment env) {
    boolean postgres = env.getProperty("sandbox.jdbc-url", "").startsWith("jdbc:postgresql:");
    return "ca.uhn.fhir.jpa.model.dialect.HapiFhir" + (postgres ? "Postgres" : "H2") + "Dialect";
  }

  @Bean
  JpaStorageSettings storageSettings() {
    JpaStorageSettings settings = new JpaStorageSettings();
    settings.setAllowMultipleDelete(true);
    settings.setExpungeEnabled(true);
    // HAPI's default, stated because clients must cope with it: an identical search within a minute
    // is answered from the cache, without what was written since, unless it asks for "no-cache".
    settings.setReuseCachedSearchResultsForMillis(60_000L);
    return settings;
  }

  @Bean
  IResourceSupportedSvc supportedResources(IDaoRegistry registry) {
    return new DaoRegistryResourceSupportedSvc(registry);
  }

  @Bean
  IStaleSearchDeletingSvc staleSearches() {
    return new StaleSearchDeletingSvcImpl();
  }

  @Bean
  IFulltextSearchSvc fullTextSearch() {
    return new FulltextSearchSvcImpl();
  }

  @Bean
  IHSearchSortHelper sortHelper(ISearchParamRegistry searchParams) {
    return new HSearchSortHelperImpl(searchParams);
  }

  @Bean
  IEmailSender noEmail() {
    return details -> {
      throw new UnsupportedOperationException("this sandbox sends no e-mail");
    };
  }

  @Bean(name = "myResourceCountsCache")
  ResourceCountCache resourceCounts(IFhirSystemDao<?, ?> systemDao) {
    return ResourceCountCacheUtil.newResourceCountCache(systemDao);
  }

  @Bean
  PartitionSettings partitionSettings() {
    return new PartitionSettings();
  }

  @Bean
  SubscriptionSettings subscriptionSettings() {
    SubscriptionSettings settings = new SubscriptionSettings();
    settings.addSupportedSubscriptionType(SubscriptionChannelType.RESTHOOK);
    settings.setSubscriptionChangeQueuedImmediately(true);
    return settings;
  }

  @Bean
  DatabaseBackedPagingProvider pagingProvider() {
    DatabaseBackedPagingProvider provider = new DatabaseBackedPagingProvider();
    provider.setDefaultPageSize(20);
    provider.setMaximumPageSize(200);
    return provider;
  }

  @Bean
  RestfulServer restfulServer(
      IFhirSystemDao<?, ?> systemDao,
      ResourceProviderFactory resourceProviders,
      IJpaSystemProvider systemProvider,
      JpaStorageSettings storage,
      ISearchParamRegistry searchParams,
      IValidationSupport validation,
      DatabaseBackedPagingProvider paging,
      BulkDataExportProvider bulkExport) {
    RestfulServer server = new RestfulServer(systemDao.getContext());
    server.registerProviders(resourceProviders.createProviders());
    server.registerProvider(systemProvider);
    server.registerProvider(bulkExport);
    server.setServerConformanceProvider(
        new JpaCapabilityStatementProvider(server, systemDao, storage, searchParams, validation));
    server.setDefaultResponseEncoding(EncodingEnum.JSON);
    server.setPagingProvider(paging);
    return server;
  }

  @Bean
  ServletRegistrationBean<RestfulServer> servlet(RestfulServer server) {
    ServletRegistrationBean<RestfulServer> registration = new ServletRegistrationBean<>(server, "/fhir/*");
    registration.setLoadOnStartup(1);
    return registration;
  }
}
